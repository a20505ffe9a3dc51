// Draws <div data-chart="FIELD"> from the page's JSON twin: one cursor for all, drawn again when width or colours change.
const HEIGHT = 180;
const UTC = { timeZone: "UTC", hour12: false };

const root = document.querySelector("[data-charts]");
if (root) start().catch(() => { root.classList.add("failed"); });

async function start() {
  const answer = await fetch(root.dataset.charts);
  if (!answer.ok) throw new Error(`charts: ${answer.status}`);
  const { items, step_s: step } = await answer.json();
  const times = items.map((item) => item.start);
  const sync = uPlot.sync("charts");
  const plots = [];
  const draw = () => {
    for (const plot of plots.splice(0)) plot.destroy();
    for (const place of root.querySelectorAll("[data-chart]")) plots.push(one(place, items, times, step, sync));
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
}

function one(place, items, times, step, sync) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const line = colour(`--series-${place.dataset.series}`);
  const axis = {
    stroke: colour("--muted"), font: `12px ${colour("--sans")}`,
    grid: { stroke: colour("--border"), width: 1 }, ticks: { stroke: colour("--border"), width: 1 },
  };
  const unit = place.dataset.unit ? ` ${place.dataset.unit}` : "";
  const shown = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: 3 }) + unit);
  const lone = times.length < 3;
  return new uPlot({
    width: place.clientWidth,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { sync: { key: sync.key }, points: { size: 7 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { x: { time: true, range: (_, low, high) => (low === high ? [low - step, high + step] : [low, high]) }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    series: [
      { label: "UTC", value: (_, seconds) => (seconds === null ? "–" : new Date(seconds * 1000).toLocaleString("en-GB", { ...UTC, dateStyle: "short", timeStyle: "short" })) },
      { label: place.closest("figure").querySelector("h2").textContent, stroke: line, width: 2, fill: `${line}22`, points: { show: lone }, value: (_, value) => shown(value) },
    ],
    axes: [axis, { ...axis, size: 56 }],
  }, [times, items.map((item) => item[place.dataset.chart])], place);
}
