// The strip of blocks is one stop of the Tab key: arrows go from cell to cell, Home and End to the first and the newest.
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };

export function startStrips() {
  document.addEventListener("keydown", (event) => {
    const cell = event.target.closest?.(".strip a");
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    const cells = [...cell.closest(".strip").querySelectorAll("a")];
    const at = cells.indexOf(cell);
    const to = event.key === "Home" ? 0 : event.key === "End" ? cells.length - 1 : at + (STEPS[event.key] ?? NaN);
    if (!(to >= 0 && to < cells.length)) return;
    event.preventDefault();
    for (const each of cells) each.tabIndex = -1;
    cells[to].tabIndex = 0;
    cells[to].focus();
  });
}
