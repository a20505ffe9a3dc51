// The search field: `/` goes to it, and what it may mean is shown while somebody types: arrows choose, Enter goes there, Escape closes.
// Only where the search is of this site; a form that leads to another one is a plain form.
const WAIT_MS = 150;

export function startSearch() {
  const field = document.getElementById("q");
  if (!field) return;
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
  if (new URL(field.form.action, location.href).origin === location.origin) suggest(field);
}

function suggest(field) {
  const list = document.createElement("ul");
  list.id = "suggestions";
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  list.hidden = true;
  field.after(list);
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-controls", list.id);
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-expanded", "false");
  let chosen = -1;
  let timer = 0;
  let asked = 0;

  const close = () => {
    list.hidden = true;
    chosen = -1;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };
  const choose = (index) => {
    const options = [...list.children];
    if (!options.length) return;
    chosen = (index + options.length) % options.length;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === chosen)));
    field.setAttribute("aria-activedescendant", options[chosen].id);
  };
  const show = (items) => {
    list.replaceChildren(...items.map((item, index) => {
      const option = document.createElement("li");
      option.id = `suggestion-${index}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      const kind = document.createElement("span");
      kind.className = "tag";
      kind.textContent = item.kind;
      const name = document.createElement("bdi");
      name.textContent = item.title ?? (item.key.length > 20 ? `${item.key.slice(0, 10)}…${item.key.slice(-6)}` : item.key);
      option.append(kind, " ", name);
      option.dataset.href = item.path;
      return option;
    }));
    chosen = -1;
    list.hidden = items.length === 0;
    field.setAttribute("aria-expanded", String(items.length > 0));
  };

  field.addEventListener("input", () => {
    clearTimeout(timer);
    const text = field.value.trim();
    if (text.length < 2) {
      close();
      return;
    }
    timer = setTimeout(async () => {
      const mine = ++asked;
      try {
        const answer = await fetch(`/search.json?q=${encodeURIComponent(text)}`);
        if (!answer.ok || mine !== asked) return;
        const { items } = await answer.json();
        // Whoever has gone on meanwhile is not held up.
        if (mine === asked && document.activeElement === field) show(items.slice(0, 8));
      } catch {
        close(); // The form itself still works.
      }
    }, WAIT_MS);
  });
  field.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen < 0 ? list.children.length - 1 : chosen - 1);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && chosen >= 0) location.assign(list.children[chosen].dataset.href);
    else return;
    event.preventDefault();
  });
  // Before the field loses the keyboard, or the list is gone before the click.
  list.addEventListener("pointerdown", (event) => {
    const option = event.target.closest("[data-href]");
    if (!option) return;
    event.preventDefault();
    location.assign(option.dataset.href);
  });
  field.addEventListener("blur", () => {
    clearTimeout(timer);
    asked += 1;
    close();
  });
}
