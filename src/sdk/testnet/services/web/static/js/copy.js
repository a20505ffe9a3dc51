// Copy buttons: <button class="copy" data-copy="TEXT">. Hidden without JavaScript.
import { say } from "./said.js";

const SHOWN_MS = 1500;

export function startCopying() {
  reveal(document);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    event.preventDefault();
    const done = await copy(button.dataset.copy);
    say(done ? "Copied" : "Your browser does not let this page copy");
    if (!done) return;
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), SHOWN_MS);
  });
}

// Shows the buttons of a part of the page that has just been put in.
export function reveal(root) {
  for (const button of root.querySelectorAll(".copy[hidden]")) button.hidden = false;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

// Over plain HTTP the clipboard is not there, but a selection can be copied.
function copyBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  const before = document.activeElement;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus?.();
  return done;
}
