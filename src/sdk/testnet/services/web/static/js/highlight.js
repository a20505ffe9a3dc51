// The pointer on an address marks all its other places on the page.
export function startHighlighting() {
  let marked = [];
  const mark = (address) => {
    for (const element of marked) element.classList.remove("same");
    const found = address ? document.querySelectorAll(`.address > [title="${CSS.escape(address)}"]`) : [];
    marked = [...found].map((titled) => titled.parentElement);
    // Alone on the page it says nothing.
    if (marked.length < 2) marked = [];
    for (const element of marked) element.classList.add("same");
  };
  const enter = (event) => mark(event.target.closest?.(".address")?.querySelector(":scope > [title]")?.title ?? "");
  document.addEventListener("pointerover", enter);
  document.addEventListener("focusin", enter);
}
