// What every page gets: copy buttons, times that go on, the search key, the colour switch, arrows in strips, equal addresses shown together, live parts.
import { startCopying } from "./copy.js";
import { startTimes } from "./times.js";
import { startHighlighting } from "./highlight.js";
import { listen, startLive } from "./live.js";
import { startSearch } from "./search.js";
import { startStrips } from "./strip.js";

startCopying();
startTimes();
startHighlighting();
startSearch();
startStrips();
startThemeSwitch();
showSection();
if (document.querySelector("[data-live]")) startLive();
// A page that waits for something to be in a block looks again at each.
if (document.querySelector("[data-reload]")) listen("home", () => location.reload());

// On a narrow screen the sections are a line that scrolls: the one that is open is in sight.
function showSection() {
  const open = document.querySelector(".sections [aria-current]");
  if (!open) return;
  const line = open.closest(".sections");
  line.scrollLeft += open.getBoundingClientRect().right - line.getBoundingClientRect().right + 24;
}

function startThemeSwitch() {
  const button = document.querySelector("[data-theme-switch]");
  if (!button) return;
  const words = { system: "as the system", light: "light", dark: "dark" };
  const order = ["system", "light", "dark"];
  const root = document.documentElement;
  const show = () => {
    const now = root.dataset.theme ?? "system";
    button.setAttribute("aria-label", `Colours: ${words[now]}`);
    button.title = `Colours: ${words[now]}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.theme ?? "system") + 1) % order.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (next === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", next);
    } catch {
      // Without storage it holds for this page.
    }
    show();
    document.dispatchEvent(new CustomEvent("themechange"));
  });
  show();
}
