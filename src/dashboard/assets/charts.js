// Charts: every element with data-chart has its data as JSON, which is drawn with uPlot and can be read as a table.
//
// {kind: "line" | "stacked" | "bars", unit: "requests" | "ms" | "tokens" | "percent" | "money", x: [seconds…],
//  series: [{label, color: "good" | "bad" | "muted" | "1"…"6", values: [number or null…]}], zoom: true}

import { duration, money, number, onUpdate, percent } from "./app.js";

const plots = new Map();
const units = { requests: number, tokens: number, ms: duration, percent, money, rate: (n) => n != null && n >= 100 ? number(n) : n == null ? "–" : n.toFixed(1) };
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const format = (unit) => units[unit] ?? number;
const clock = (seconds, span) => new Date(seconds * 1000).toLocaleString([], span > 86400 * 2 ? { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : { hourCycle: "h23", hour: "2-digit", minute: "2-digit" });

/** Units of which there are no halves, and the steps between their lines. */
const counts = new Set(["requests", "tokens"]);
const whole = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

/** Whether each point is a day, which begins at midnight UTC. */
const areDays = ({ x }) => x.length > 1 && (x[1] - x[0]) % 86400 === 0;
const utcDay = (seconds) => new Date(seconds * 1000).toLocaleDateString([], { month: "short", day: "numeric", timeZone: "UTC" });
/** The x axis of days: a line for each day, or for every second, third… if there is no room. */
function dayAxis({ x }, width) {
  const every = Math.ceil(x.length / Math.max(1, Math.floor((width - 76) / 64)));
  return { size: 28, splits: () => x.filter((_, at) => (x.length - 1 - at) % every === 0), values: (_, ticks) => ticks.map(utcDay) };
}

/** The time at a line of the grid; the day where it changes. */
function tickTime(tick, before, span) {
  const date = new Date(tick * 1000), day = date.toLocaleDateString([], { month: "short", day: "numeric" });
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  if (span > 86400 * 8) return day;
  const isNewDay = before == null ? span > 86400 : new Date(before * 1000).getDate() !== date.getDate();
  return isNewDay ? `${day}\n${time}` : time;
}

/** The values as they are drawn: in a stack, each series stands on those before it. */
function stacked(series) {
  const sums = [];
  return series.map(({ values }) => values.map((value, at) => (sums[at] = (sums[at] ?? 0) + (value ?? 0))));
}

function draw(figure) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const isStacked = data.kind === "stacked";
  const drawn = isStacked ? stacked(data.series) : data.series.map(({ values }) => values);
  const width = Math.max(200, figure.clientWidth);
  const height = figure.classList.contains("small") ? 150 : 190;
  const fmt = format(data.unit);
  const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: `12px ${css("--font")}` };
  const bars = isStacked || data.kind === "bars";
  const series = data.series.map(({ label, color, values }) => {
    // Few values may have no neighbour to draw a line to.
    const isSparse = !bars && values.filter((value) => value != null).length < 24;
    const stroke = css(`--chart-${color}`);
    return { label, stroke, width: bars ? 0 : 1.75, fill: bars ? stroke : undefined, points: { show: isSparse, size: 5, fill: stroke }, paths: bars ? uPlot.paths.bars({ size: [0.8, 40] }) : undefined, spanGaps: false };
  });
  // The highest part of a stack is drawn first, so that the others stay visible.
  if (isStacked) { series.reverse(); drawn.reverse(); }
  const options = {
    width, height, legend: { show: false }, padding: [8, 18, 0, 0],
    cursor: { drag: { x: data.zoom === true, y: false }, points: { show: !bars }, y: false },
    // Bars at both ends need room.
    scales: { x: { time: true, range: (_, min, max) => { const room = bars && data.x.length > 1 ? (data.x[1] - data.x[0]) / 2 : 0; return [min - room, max + room]; } }, y: { range: (_, min, max) => [0, max > 0 ? max * 1.08 : 1] } },
    axes: [areDays(data) ? { ...axis, ...dayAxis(data, width) } : { ...axis, size: (_, texts) => (texts ?? []).some((text) => text.includes("\n")) ? 42 : 28, values: (_, ticks) => ticks.map((tick, at) => tickTime(tick, ticks[at - 1], data.x.at(-1) - data.x[0])) }, { ...axis, size: 58, ...(counts.has(data.unit) ? { incrs: whole } : {}), values: (_, ticks) => ticks.map((tick) => tick === 0 ? "0" : fmt(tick)) }],
    series: [{}, ...series],
    hooks: {
      setCursor: [(plot) => legend(figure, data, plot.cursor.idx)],
      setSelect: [(plot) => {
        if (!data.zoom || plot.select.width < 5) return;
        const from = plot.posToVal(plot.select.left, "x"), to = plot.posToVal(plot.select.left + plot.select.width, "x");
        const query = new URLSearchParams(location.search);
        query.delete("range"); query.set("from", Math.floor(from * 1000)); query.set("to", Math.ceil(to * 1000));
        location.search = query;
      }],
    },
  };
  plots.get(figure)?.destroy();
  let place = figure.querySelector(".plot");
  if (!place) {
    place = document.createElement("div"); place.className = "plot"; place.setAttribute("aria-hidden", "true");
    const list = document.createElement("ul"); list.className = "legend";
    const details = document.createElement("details");
    details.innerHTML = '<summary>Show as a table</summary><div class="scroll" tabindex="0"></div>';
    details.addEventListener("toggle", () => { if (details.open) table(figure); });
    details.querySelector("div").setAttribute("role", "region");
    details.querySelector("div").setAttribute("aria-label", `${figure.getAttribute("aria-label")}, as a table`);
    figure.append(place, list, details);
  }
  place.replaceChildren();
  plots.set(figure, new uPlot(options, [data.x, ...drawn], place));
  legend(figure, data, null);
  if (figure.querySelector("details").open) table(figure);
}

/** The names of the series, with the values under the pointer or the latest ones. */
function legend(figure, data, at) {
  const fmt = format(data.unit);
  const items = data.series.map(({ label, color, values }) => {
    const item = document.createElement("li"), mark = document.createElement("i"), value = document.createElement("b");
    mark.className = `c-${color}`;
    const sum = () => data.kind === "line" ? values.findLast((one) => one != null) : values.reduce((all, one) => all + (one ?? 0), 0);
    value.textContent = fmt(at == null ? sum() : values[at]);
    item.append(mark, `${label} `, value);
    return item;
  });
  if (at != null) {
    const time = document.createElement("li");
    time.textContent = clock(data.x[at], data.x.at(-1) - data.x[0]);
    items.push(time);
  }
  figure.querySelector(".legend").replaceChildren(...items);
}

function table(figure) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const fmt = format(data.unit), span = data.x.at(-1) - data.x[0];
  const node = document.createElement("table");
  node.className = "data";
  const head = node.createTHead().insertRow();
  for (const label of ["Time", ...data.series.map(({ label }) => label)]) {
    const cell = document.createElement("th");
    cell.scope = "col"; cell.textContent = label; if (label !== "Time") cell.className = "num";
    head.append(cell);
  }
  const body = node.createTBody();
  data.x.forEach((second, at) => {
    if (data.series.every(({ values }) => !values[at])) return;
    const row = body.insertRow();
    row.insertCell().textContent = clock(second, span);
    for (const { values } of data.series) { const cell = row.insertCell(); cell.className = "num"; cell.textContent = fmt(values[at]); }
  });
  figure.querySelector("details div").replaceChildren(node);
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const plot = plots.get(target);
    if (plot && Math.abs(plot.width - target.clientWidth) > 2) plot.setSize({ width: Math.max(200, target.clientWidth), height: plot.height });
  }
});

/** Draws what is new; charts that have left the page are forgotten. */
export function drawCharts() {
  for (const [figure, plot] of plots) if (!figure.isConnected) { plot.destroy(); plots.delete(figure); sizes.unobserve(figure); }
  for (const figure of document.querySelectorAll("[data-chart]")) {
    if (plots.has(figure)) continue;
    figure.addEventListener("chart", () => draw(figure));
    draw(figure);
    sizes.observe(figure);
  }
}
addEventListener("themechange", () => plots.forEach((_, figure) => draw(figure)));
onUpdate(drawCharts);
drawCharts();
