// The pointer on an address marks all its other places on the page.
export function startHighlighting() {
  let marked = [];
  const mark = (address) => {
    for (const element of marked) element.classList.remove("same");
    marked = address ? [...document.querySelectorAll(`[data-address="${CSS.escape(address)}"]`)] : [];
    // Alone on the page it says nothing.
    if (marked.length < 2) marked = [];
    for (const element of marked) element.classList.add("same");
  };
  const enter = (event) => mark(event.target.closest?.("[data-address]")?.dataset.address ?? "");
  document.addEventListener("pointerover", enter);
  document.addEventListener("focusin", enter);
}
