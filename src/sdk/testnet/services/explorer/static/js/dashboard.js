// Says a new verdict to readers of screens, and puts it into the tab's title; numbers change without a word.
import { listen } from "./live.js";
import { say } from "./said.js";

const word = () => document.querySelector(".verdict .word")?.textContent.trim() ?? "";
let before = word();

// Everybody's view and that of operators have topics of their own.
listen(document.querySelector("[data-live]")?.dataset.live ?? "dashboard", () => {
  const now = word();
  if (now === before) return;
  before = now;
  say(`The network is ${now}`);
  document.title = document.title.replace(/^[^·]*/, `${now} `);
});
