// One validator of the dashboard: a click into its row, or Enter on its name, shows what is its own, and the page's address says whose (`?validator=0x…`), so that
// back, forward and a link that somebody sends do what they should.
//
// To choose asks for the page once, which the server has marked. What comes by the stream afterwards is the same for all who look, and is marked here by `data-of`
// of alerts, events, rows and columns, and by the event's letters of what each validator did for each block.
import { drawAgain } from "./charts.js";
import { listen, refresh } from "./live.js";
import { say } from "./said.js";

const EVENTS_MAX = 30;
const PARTS_IN_BLOCKS = {
  p: ["own", "; proposed by it"],
  "-": ["outside", "; without its seal"],
  "?": ["unknown", "; seals unknown"],
};
const ROWS = "[data-part=validators] .lead a";
const table = part("validators");
let written = asText(); // In the page's address, as what is shown has it.
let kept = []; // Its events that the page has: later ones of others don't push them out.
let ownRow = null; // As it was last: the stream's table has no row of it where twenty others have to be looked at first.
let rowsAsked = 0; // Questions for its row, which may be answered in another order.
let rowShown = 0; // The newest of them that is of no more use: it is answered, or the row came otherwise since.

if (table) start();

function start() {
  table.classList.add("choosable");
  keepOwn();
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest(`a[data-choose], ${ROWS}`) ?? linkOfRow(event.target);
    if (!link) return;
    event.preventDefault();
    choose(new URL(link.href).searchParams.get("validator"));
  });
  addEventListener("popstate", () => {
    if (asText() === written) return;
    leaveParts();
    show();
  });
  listen(table.dataset.live, (data) => {
    nameRows();
    if (data) mark(data);
    else {
      dropAnswers();
      keepRow(); // It was asked for with the page.
    }
  });
  nameRows();
}

function part(name) {
  return document.querySelector(`[data-live][data-part="${name}"]`);
}

function asText() {
  return new URLSearchParams(location.search).get("validator") ?? "";
}

// What is no validator's address is none of the letters either.
function asAddress() {
  return asText().trim().toLowerCase();
}

// The validator's name, as the server has said it; undefined where none is chosen.
function chosenName() {
  return part("choice").querySelector("[data-name]")?.dataset.name;
}

function withChoice(address) {
  const url = new URL(location.href);
  if (address) url.searchParams.set("validator", address);
  else url.searchParams.delete("validator");
  return url;
}

// A row is large to hit. Who marks text in it, or presses something else there, does not choose.
function linkOfRow(target) {
  if (target.closest("a, button") || !getSelection().isCollapsed) return null;
  return target.closest("[data-part=validators] tr")?.querySelector(ROWS);
}

async function choose(address) {
  const url = withChoice(address);
  if (url.href === location.href) return;
  history.pushState(null, "", url);
  table.focus({ preventScroll: true });
  if (!(await show())) return;
  const bar = part("choice");
  say(chosenName() === undefined ? "All validators are shown" : `Showing ${chosenName()}`);
  if (document.activeElement === table && bar.childElementCount) bar.focus({ preventScroll: true });
}

// A part that has the focus inside is not replaced: it goes to the table as a whole, and from there to the words that say what is shown.
function leaveParts() {
  if (document.activeElement?.closest("[data-part]")) table.focus({ preventScroll: true });
}

async function show() {
  written = asText();
  const page = await refresh();
  if (!page) return false;
  keepOwn();
  document.querySelector("[data-charts]").dataset.charts = page.querySelector("[data-charts]").dataset.charts;
  drawAgain();
  return true;
}

// Links of the rows keep time range and permalink, which the stream does not know.
function nameRows() {
  for (const link of document.querySelectorAll(ROWS)) {
    link.href = withChoice(new URL(link.href).searchParams.get("validator"));
  }
}

function mark(data) {
  const letters = Object.hasOwn(data.in_blocks, asAddress()) ? data.in_blocks[asAddress()] : undefined;
  const name = chosenName();
  if (asText() && (letters === undefined) !== (name === undefined)) {
    show(); // It has come into the set, or left it: the server says so.
    return;
  }
  if (letters === undefined) return;
  markRows();
  markAlerts(name);
  markEvents(name);
  markStrip(letters, data.newest);
  markRoundTrips(name);
}

function markRows() {
  let isThere = false;
  for (const link of document.querySelectorAll(ROWS)) {
    const isOwn = isChosen(link);
    isThere ||= isOwn;
    link.closest("tr").classList.toggle("chosen", isOwn);
    if (isOwn) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (isThere) dropAnswers();
  else showOwnRow();
  keepRow();
}

function isChosen(link) {
  return new URL(link.href).searchParams.get("validator") === asAddress();
}

// Answers that are still to come are older than the row that is there now.
function dropAnswers() {
  rowShown = rowsAsked;
}

function keepRow() {
  ownRow = table.querySelector("tr.chosen");
}

// Before the others, as a page that is asked for has it, and at once, so that nothing moves; its numbers of now are made by the server once for all who have chosen it.
async function showOwnRow() {
  const body = table.querySelector("tbody");
  if (!body) return;
  // While the page of another choice is asked for, the row is still that of the one before, and may be in the table, too.
  if (ownRow && isChosen(ownRow.querySelector("a"))) body.prepend(ownRow);
  const asked = asAddress();
  const question = ++rowsAsked;
  const answer = await fetch(`${location.pathname}/row?validator=${asked}`).catch(() => null);
  if (!answer?.ok) return;
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  const row = made.content.querySelector("tr");
  const before = table.querySelector("tr.chosen");
  if (!row || asAddress() !== asked || question <= rowShown || before?.contains(document.activeElement)) return;
  rowShown = question;
  if (before) before.replaceWith(row);
  else table.querySelector("tbody")?.prepend(row);
  nameRows();
  keepRow();
}

function markAlerts(name) {
  const list = part("alerts").querySelector("ul");
  if (!list) return;
  list.classList.add("narrowed");
  let others = 0;
  for (const alert of list.querySelectorAll("[data-of]")) {
    alert.hidden = alert.dataset.of !== name;
    others += alert.hidden;
  }
  const line = list.querySelector("[data-others]");
  line.hidden = others === 0;
  line.querySelector(".number").textContent = others;
}

function ownEvents(name) {
  return [...part("events").querySelectorAll("li[data-of]")].filter((event) => event.dataset.of === name);
}

function keepOwn() {
  const name = chosenName();
  keepRow();
  kept = name === undefined ? [] : ownEvents(name);
}

function markEvents(name) {
  const feed = part("events").querySelector("ol");
  if (!feed) return;
  const own = ownEvents(name);
  const here = new Set(own.map((event) => event.innerHTML));
  kept = [...own, ...kept.filter((event) => !here.has(event.innerHTML))].slice(0, EVENTS_MAX);
  const none = feed.querySelector("[data-none]");
  none.hidden = kept.length > 0;
  const lines = [...kept, none];
  // Whoever marks text in lines that stay keeps it.
  if (lines.length !== feed.childElementCount || lines.some((line, place) => line !== feed.children[place])) feed.replaceChildren(...lines);
}

function markStrip(letters, newest) {
  const strip = part("strip").querySelector("ol");
  const cells = [...strip.querySelectorAll("a")];
  // Who goes through the cells by arrow keys has those of before, which are marked.
  if (cells.length !== letters.length || cells.at(-1)?.pathname !== `/block/${newest}`) return;
  strip.classList.add("narrowed");
  for (const [place, cell] of cells.entries()) {
    const [kind, words] = PARTS_IN_BLOCKS[letters[place]] ?? ["", ""];
    cell.parentElement.classList.remove("own", "outside", "unknown");
    if (kind) cell.parentElement.classList.add(kind);
    cell.title = cell.title.split("; ")[0] + words;
  }
}

function markRoundTrips(name) {
  const matrix = part("round_trips")?.querySelector("table");
  if (!matrix) return;
  const [head, ...rows] = matrix.rows;
  const column = [...head.cells].findIndex((cell) => cell.dataset.of === name);
  const isThere = column >= 0 || rows.some((row) => row.cells[0].dataset.of === name);
  matrix.classList.toggle("narrowed", isThere);
  for (const row of matrix.rows) {
    const isOwn = row.cells[0].dataset.of === name;
    for (const [place, cell] of [...row.cells].entries()) {
      const isHead = cell.tagName === "TH";
      cell.classList.toggle("own", isHead ? cell.dataset.of === name : isOwn || place === column);
    }
  }
  sayAbsent(part("round_trips"), isThere);
}

function sayAbsent(root, isThere) {
  const words = root.querySelector("[data-absent]");
  if (words) words.hidden = isThere;
}
