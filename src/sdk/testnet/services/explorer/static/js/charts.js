// Draws <div data-chart="FIELD"> from the JSON that the page names: one cursor for all, drawn again when width or colours change. With data-refresh-s the
// numbers are asked for again, as long as somebody looks and nothing is paused. Times are UTC, of 24 hours.
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
if (root) start().catch(() => { root.classList.add("failed"); });

async function start() {
  let { items, step_s: step } = await ask();
  const sync = uPlot.sync("charts");
  const plots = [];
  const draw = () => {
    for (const plot of plots.splice(0)) plot.destroy();
    for (const place of root.querySelectorAll("[data-chart]")) plots.push(one(place, items, step, sync));
  };
  draw();
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth === width) return;
    width = root.clientWidth;
    for (const plot of plots) plot.setSize({ width: plot.root.parentElement.clientWidth, height: HEIGHT });
  }).observe(root);
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  const seconds = Number(root.dataset.refreshS);
  if (!seconds) return;
  setInterval(async () => {
    if (document.hidden || isPaused()) return;
    try {
      ({ items, step_s: step } = await ask());
    } catch {
      return; // What is drawn stays; the page says itself that its data are old.
    }
    // In place: the cursor stays where somebody holds it.
    for (const plot of plots) plot.setData(columns(items, plot.root.parentElement.dataset.chart));
  }, 1000 * seconds);
}

async function ask() {
  const answer = await fetch(root.dataset.charts, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`charts: ${answer.status}`);
  return answer.json();
}

function columns(items, field) {
  return [items.map((item) => item.start), items.map((item) => item[field])];
}

// The range of a single moment: it stands in the middle. For one uPlot would take three years.
export function around(times, step) {
  return times.length === 1 ? [times[0] - step, times[0] + step] : null;
}

function one(place, items, step, sync) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const line = colour(`--series-${place.dataset.series}`);
  const axis = {
    stroke: colour("--muted"), font: `12px ${colour("--sans")}`,
    grid: { stroke: colour("--border"), width: 1 }, ticks: { stroke: colour("--border"), width: 1 },
  };
  const unit = place.dataset.unit ? ` ${place.dataset.unit}` : "";
  const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 3 });
  const shown = (value) => (value === null || value === undefined ? "–" : number(value) + unit);
  const clock = step < 60 ? "medium" : "short";
  return new uPlot({
    width: place.clientWidth,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { sync: { key: sync.key }, points: { size: 7 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { x: { time: true, range: (plot, low, high) => around(plot.data?.[0] ?? [], step) ?? [low, high] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    series: [
      { label: "UTC", value: (_, seconds) => (seconds === null || seconds === undefined ? "–" : new Date(seconds * 1000).toLocaleString("en-GB", { ...UTC, dateStyle: "short", timeStyle: clock })) },
      { label: place.closest("figure").querySelector("h2, h3").textContent, stroke: line, width: 2, fill: `${line}22`, points: { show: items.length < 3 }, value: (_, value) => shown(value) },
    ],
    axes: [{ ...axis, values: TIMES, space: 64 }, { ...axis, size: 60, values: (_, marks) => marks.map(number) }],
  }, columns(items, place.dataset.chart), place);
}
