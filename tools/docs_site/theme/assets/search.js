// Looks through the pages: the index is made with them, and is fetched when somebody begins to type. Nothing is asked of anybody else.
const RESULTS_MAX = 12;
const EXCERPT_CHARACTERS = 160;
/** By the folder of a page: who asks how to do something is answered before who asks why it was decided so. Less than a word in a title counts. */
const WORTH = { tutorial: 9, guide: 9, reference: 6, spec: 3 };

const form = document.querySelector("#search");
const input = document.querySelector("#query");
const list = document.querySelector("#results");
const base = new URL(`${document.documentElement.dataset.base}/`, location.href);
let sections;

/** @returns {Promise<{location: string, title: string, titles: string[], page: string, text: string, words: string}[]>} */
function load() {
  sections ??= fetch(new URL("search/search_index.json", base))
    .then((response) => response.json())
    .then(({ docs }) => {
      // A page is there as a whole, by its name in the menu, and then by its sections, the first of which begins with its title: that one stands for it.
      const names = new Map(docs.filter(({ location }) => !location.includes("#")).map(({ location, title }) => [location, title]));
      const begun = new Set();
      return docs.filter(({ location }) => location.includes("#")).map((entry) => {
        const page = entry.location.split("#")[0];
        const isPage = !begun.has(page);
        begun.add(page);
        const titles = (isPage ? [entry.title, names.get(page)] : [entry.title]).map((title) => title.toLowerCase());
        return {
          ...entry,
          titles,
          page: isPage ? "" : names.get(page),
          words: ` ${titles.join(" ")} ${entry.text}`.toLowerCase().replace(/\s+/g, " "),
        };
      });
    })
    .catch((error) => {
      // The next letter asks for it again.
      sections = undefined;
      throw error;
    });
  return sections;
}

/** A word as a regular expression has it: only what means something there is escaped, since a Unicode one refuses `\_` and `\-`. */
function literally(word) {
  return word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** Sections that have every word: titles count most, then the words as they were typed, then what kind of page it is, then starts of words. */
function find(entries, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const phrase = words.join(" ");
  const found = [];
  for (const entry of entries) {
    if (!words.every((word) => entry.words.includes(word))) continue;
    let score = (entry.titles.includes(phrase) ? 40 : 0) + (entry.words.includes(phrase) ? 15 : 0) + (entry.page === "" ? 5 : 0);
    for (const word of words) {
      const at = entry.words.search(new RegExp(`[^\\p{L}\\p{N}]${literally(word)}`, "u"));
      score += (entry.titles.some((title) => title.includes(word)) ? 10 : 0) + (at < 0 ? 0 : 4);
    }
    // Where words stand only inside of others, no kind of page makes that better.
    if (score > 0) score += WORTH[entry.location.split("/")[0]] ?? 0;
    found.push({ entry, score });
  }
  found.sort((one, other) => other.score - one.score);
  const best = found[0]?.score ?? 0;
  // A word inside of other words is worth showing only where there is nothing better.
  return found.filter(({ score }) => score > 0 || best === 0).slice(0, RESULTS_MAX).map(({ entry }) => ({ entry, phrase, word: words[0] }));
}

function show(results, query) {
  list.replaceChildren();
  if (query === "") return;
  if (results.length === 0) {
    const nothing = document.createElement("p");
    nothing.textContent = `Nothing has “${query}”.`;
    list.append(nothing);
  }
  for (const { entry, phrase, word } of results) {
    const link = document.createElement("a");
    link.href = new URL(entry.page === "" ? entry.location.split("#")[0] : entry.location, base).href;
    link.textContent = entry.title;
    const excerpt = document.createElement("small");
    const text = entry.text.toLowerCase();
    const at = text.includes(phrase) ? text.indexOf(phrase) : text.indexOf(word);
    const start = Math.max(0, at - 40);
    const where = entry.page === "" ? "" : `${entry.page}: `;
    excerpt.textContent = where + (start > 0 ? "…" : "") + entry.text.slice(start, start + EXCERPT_CHARACTERS);
    link.append(excerpt);
    list.append(link);
  }
}

form.hidden = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  list.querySelector("a")?.click();
});
input.addEventListener("input", async () => {
  const query = input.value.trim();
  const entries = await load();
  if (query === input.value.trim()) show(query === "" ? [] : find(entries, query), query);
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    input.focus();
  } else if (event.key === "Escape" && list.childElementCount > 0) {
    show([], "");
    input.value = "";
    input.focus();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && list.childElementCount > 0 && form.contains(event.target)) {
    const links = [input, ...list.querySelectorAll("a")];
    const next = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    links[Math.min(Math.max(next, 0), links.length - 1)].focus();
    event.preventDefault();
  }
});
document.addEventListener("click", (event) => {
  if (!form.contains(event.target)) show([], "");
});
