// How scores are spread: a small histogram of each score of each run.

const charts = at("charts");
const BINS = 32;
let isDrawn = false; // whether the figures show what is searched and filtered now

const scoreNames = [...new Set(scoreKeys.map((key) => key.name))];
function layCharts() {
  charts.hidden = !scoreKeys.length;
  if (scoreKeys.length) layAxes();
}

/** The place of a value between two others, 0 to 1. */
const placeOf = ({ low, high }, value) => (high > low ? (value - low) / (high - low) : 0.5);

/** Scores of some rows; one that several rows descend from counts once. */
function scoresOf(key, some) {
  const found = new Map();
  for (const line of some) {
    const value = scoreOf(line, key);
    if (value !== null) found.set(line.cells[key.column.place].row, value);
  }
  return [...found.values()].sort((a, b) => a - b);
}

function median(sorted) {
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function countIn(key, values) {
  const counts = new Array(BINS).fill(0);
  for (const value of values) counts[Math.min(Math.floor(placeOf(key, value) * BINS), BINS - 1)] += 1;
  return counts;
}

/** Bars as one outline, in units of a bin and of the tallest bar. */
const bars = (counts, top) => counts.map((count, bin) => (count ? `M${bin + 0.05} 1V${1 - count / top}h.9V1z` : "")).join("");

function histogram({ key, name, values, all, counts }, top) {
  const told = values.length ? `median ${number(median(values))}, ` : "";
  const count = values.length === all.length ? `${all.length}` : `${values.length} of ${all.length}`;
  const text = `${told}${count} ${all.length === 1 ? "row" : "rows"}`;
  const label = `${key.label}: ${text}, from ${number(key.low)} to ${number(key.high)}`;
  const figure = svg("svg", { viewBox: `0 0 ${BINS} 1`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("path", { class: "all", d: bars(countIn(key, all), top) }), svg("path", { class: "shown", d: bars(counts, top) }));
  if (values.length) {
    const x = placeOf(key, median(values)) * BINS;
    figure.append(svg("path", { class: "median", d: `M${x} 0V1` }));
  }
  return el("figure", {}, el("figcaption", {}, name ? el("b", {}, name) : null, " ", el("span", { class: "quiet" }, text)), figure,
    el("p", { class: "ends", "aria-hidden": "true" }, el("span", {}, number(key.low)), el("span", {}, number(key.high))));
}

/** One score in all runs that have it, over one axis and with bars of one scale. */
function histogramsOf(name, some) {
  const keys = scoreKeys.filter((key) => key.name === name && key.low <= key.high);
  const found = keys.map((key) => {
    const values = scoresOf(key, some), all = scoresOf(key, lines);
    return { key, values, all, counts: countIn(key, values), name: keys.length > 1 ? key.column.variant || key.column.title : "" };
  });
  const top = Math.max(...found.flatMap(({ key, all }) => countIn(key, all)));
  return found.length ? el("section", {}, el("h3", {}, found[0].key.short), el("div", { class: "histograms" }, ...found.map((one) => histogram(one, top)))) : null;
}

/** Figures cost nothing while they are closed. */
function drawCharts() {
  isDrawn = charts.open;
  if (!isDrawn) return;
  const some = visible();
  at("histograms").replaceChildren(...scoreNames.map((name) => histogramsOf(name, some)).filter(Boolean));
  drawScatter(some);
}

/** Opens the figures and goes to the dot of the row, or closes them and goes back to it. */
function toggleCharts() {
  if (charts.hidden) return;
  charts.open = !charts.open;
  if (charts.open && !isDrawn) drawCharts();
  const dot = dots.points.find((point) => point.line === here?.line) ?? dots.points[0];
  if (charts.open && dot) pointAt(dot);
  else if (charts.open) charts.querySelector("summary").focus();
  else if (here) goTo(here.line, here.column);
}

charts.addEventListener("toggle", () => { if (charts.open && !isDrawn) drawCharts(); });
addEventListener("resize", drawCharts);
