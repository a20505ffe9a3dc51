// Copy buttons: <button class="copy" data-copy="TEXT">, or data-copy-url="JSON" data-copy-field="a.b" for what is too long for a page.
// Hidden without JavaScript.
import { say } from "./said.js";

const SHOWN_MS = 1500;

export function startCopying() {
  reveal(document);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-url]");
    if (!button) return;
    event.preventDefault();
    const text = button.dataset.copy ?? (await fetched(button.dataset));
    if (text === undefined) return say("It did not come. Try again.");
    const done = await copy(text);
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

async function fetched({ copyUrl, copyField }) {
  try {
    const found = await (await fetch(copyUrl)).json();
    return copyField.split(".").reduce((value, name) => value[name], found);
  } catch {
    return undefined;
  }
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
