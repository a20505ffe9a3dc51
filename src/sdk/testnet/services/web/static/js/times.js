// <time data-time="SECONDS">: how long ago, as time goes on; a click, or the button of the page, shows UTC instead, for all of
// them, and another click goes back.
const NARROW_SPACE = "\u202f";
const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];
let absolute = false;

export function startTimes() {
  const button = document.querySelector("[data-time-switch]");
  const turn = () => {
    absolute = !absolute;
    showTimes(document);
    if (!button) return;
    button.setAttribute("aria-pressed", String(absolute));
  };
  document.addEventListener("click", (event) => { if (event.target.closest("time[data-time]")) turn(); });
  if (button && document.querySelector("time[data-time], [data-live]")) {
    button.hidden = false;
    button.addEventListener("click", turn);
  }
  // One clock for the page; nobody looks at a hidden one.
  setInterval(() => { if (!absolute && !document.hidden) showTimes(document); }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) showTimes(document); });
  showTimes(document);
}

export function showTimes(root) {
  const now = Date.now() / 1000;
  for (const element of root.querySelectorAll("time[data-time]")) {
    const text = absolute ? element.title : ago(Number(element.dataset.time), now);
    if (element.textContent !== text) element.textContent = text;
  }
}

export function ago(timestamp, now) {
  const passed = Math.max(0, Math.floor(now - timestamp));
  for (const [unit, length] of UNITS) {
    if (passed >= length) return `${Math.floor(passed / length)}${NARROW_SPACE}${unit} ago`;
  }
  return `${passed}${NARROW_SPACE}s ago`;
}
