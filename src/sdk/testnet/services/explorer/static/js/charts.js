// Draws <div data-chart="FIELD"> from the JSON that the page names: one cursor for all, drawn again when width or colours change. With data-lines the chart has
// a line for each name that the JSON's `lines` has for it. Where there is nothing to draw, the sentence below it is shown. With data-refresh-s the numbers are
// asked for again, as long as somebody looks and nothing is paused. Times are UTC, of 24 hours.
import { isPaused } from "./live.js";

const HEIGHT = 180;
const UTC = { timeZone: "UTC", hour12: false };
const TIMES = [
  [31536000, "{YYYY}", null, null, null, null, null, null, 1],
  [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

const root = document.querySelector("[data-charts]");
let again = () => {};
if (root) start().catch(failed);

// Asks for the numbers of the address that data-charts names now, and draws them.
export function drawAgain() {
  again();
}

async function start() {
  const first = root.dataset.charts;
  let found = await ask();
  const sync = uPlot.sync("charts");
  const charts = [...root.querySelectorAll("[data-chart]")].map((place) => ({ place, plot: null, names: "" }));
  const draw = () => { for (const chart of charts) show(chart, found, sync, true); };
  draw();
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth === width) return;
    width = root.clientWidth;
    for (const { place, plot } of charts) plot?.setSize({ width: place.clientWidth, height: HEIGHT });
  }).observe(root);
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  again = async () => {
    const asked = root.dataset.charts;
    let answer;
    try {
      answer = await ask();
    } catch {
      return; // What is drawn stays; the page says itself that its data are old.
    }
    if (asked !== root.dataset.charts) return; // Meanwhile others are wanted.
    found = answer;
    for (const chart of charts) show(chart, found, sync, false);
  };
  if (first !== root.dataset.charts) again();
  const seconds = Number(root.dataset.refreshS);
  if (seconds) setInterval(() => { if (!document.hidden && !isPaused()) again(); }, 1000 * seconds);
}

function failed() {
  root.classList.add("failed");
  for (const nothing of root.querySelectorAll(".nothing")) {
    nothing.textContent = "The numbers did not come. Load the page again.";
    nothing.hidden = false;
  }
}

// The same lines as before get new numbers in place: the cursor stays where somebody holds it.
function show(chart, found, sync, isAnew) {
  const { place } = chart;
  const lines = linesOf(place, found);
  const names = JSON.stringify(lines.map((line) => line.name));
  const columns = [found.items.map((item) => item.start), ...lines.map((line) => line.values)];
  if (chart.plot && !isAnew && names === chart.names) {
    chart.plot.setData(columns);
    return;
  }
  chart.plot?.destroy();
  chart.names = names;
  const nothing = place.parentElement.querySelector(".nothing");
  place.hidden = nothing !== null && !lines.some(isKnown);
  if (nothing) nothing.hidden = !place.hidden;
  chart.plot = place.hidden ? null : one(place, lines, columns, found.step_s, sync);
}

function linesOf(place, found) {
  const field = place.dataset.chart;
  if (place.dataset.lines !== undefined) return found.lines.filter((line) => line.chart === field);
  return [{ name: place.closest("figure").querySelector("h2, h3").textContent, values: found.items.map((item) => item[field]) }];
}

function isKnown(line) {
  return line.values.some((value) => value !== null && value !== undefined);
}

async function ask() {
  const answer = await fetch(root.dataset.charts, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`charts: ${answer.status}`);
  return answer.json();
}

// The range of a single moment: it stands in the middle. For one uPlot would take three years.
export function around(times, step) {
  return times.length === 1 ? [times[0] - step, times[0] + step] : null;
}

function one(place, lines, columns, step, sync) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--muted"), font: `12px ${colour("--sans")}`,
    grid: { stroke: colour("--border"), width: 1 }, ticks: { stroke: colour("--border"), width: 1 },
  };
  const unit = place.dataset.unit ? ` ${place.dataset.unit}` : "";
  const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 3 });
  const shown = (value) => (value === null || value === undefined ? "–" : number(value) + unit);
  const clock = step < 60 ? "medium" : "short";
  const moment = (seconds) => (seconds === null || seconds === undefined ? "–" : new Date(seconds * 1000).toLocaleString("en-GB", { ...UTC, dateStyle: "short", timeStyle: clock }));
  // Until somebody points at a moment the numbers are the newest.
  const newest = (plot, index) => plot.data?.[index]?.at(-1);
  const isAlone = place.dataset.lines === undefined;
  const drawn = (line, index) => {
    const stroke = line.name === "" ? colour("--muted") : colour(`--series-${isAlone ? place.dataset.series : index + 1}`);
    return {
      label: line.name === "" ? "worst of the others" : line.name, stroke, width: 2, fill: isAlone ? `${stroke}22` : undefined,
      dash: line.name === "" ? [4, 4] : undefined, points: { show: columns[0].length < 3 }, value: (plot, value, index, at) => shown(at === null ? newest(plot, index) : value),
    };
  };
  return new uPlot({
    width: place.clientWidth,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { sync: { key: sync.key }, points: { size: 7 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { x: { time: true, range: (plot, low, high) => around(plot.data?.[0] ?? [], step) ?? [low, high] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    series: [
      { label: "UTC", value: (plot, seconds, index, at) => moment(at === null ? newest(plot, index) : seconds) },
      ...lines.map(drawn),
    ],
    axes: [{ ...axis, values: TIMES, space: 64 }, { ...axis, size: 60, values: (_, marks) => marks.map(number) }],
  }, columns, place);
}
