// Two scores against each other: a dot for each row, which shows its pictures.

const plot = at("plot");
const PLOT = { width: 560, ratio: 0.68, left: 48, right: 14, top: 12, bottom: 26 };
const REACH = 24; // pixels from a dot at which a pointer still means it
let dots = { points: [], point: null };

/** Round numbers from `low` to `high`, some five of them: 1, 2 or 5 times a power of ten apart. */
function ticks(low, high) {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const apart = power * [1, 2, 5, 10].find((times) => times * power >= rough);
  const first = Math.ceil(low / apart);
  return Array.from({ length: Math.max(0, Math.floor(high / apart) - first + 1) }, (_, i) => (first + i) * apart);
}

/** Ranks from 1 on, equal values sharing the mean of theirs. */
function ranks(values) {
  const order = [...values.keys()].sort((a, b) => values[a] - values[b]);
  const found = new Array(values.length);
  for (let start = 0, end = 0; start < order.length; start = end) {
    while (end < order.length && values[order[end]] === values[order[start]]) end += 1;
    for (const index of order.slice(start, end)) found[index] = (start + end + 1) / 2;
  }
  return found;
}

/** Spearman's rank correlation; NaN where one of the two never varies. */
function spearman(points) {
  const [x, y] = ["xs", "ys"].map((name) => ranks(points.map((point) => point[name])));
  const mean = (points.length + 1) / 2;
  const product = (a, b) => a.reduce((sum, value, i) => sum + (value - mean) * (b[i] - mean), 0);
  return product(x, y) / Math.sqrt(product(x, x) * product(y, y));
}

/** Rows that have both scores; rows that descend from the same two count once. */
function pointsOf(x, y, some) {
  const found = new Map();
  for (const line of some) {
    const [xs, ys] = [scoreOf(line, x), scoreOf(line, y)];
    if (xs === null || ys === null) continue;
    const rows = [x, y].map((key) => line.cells[key.column.place].row);
    if (!found.has(rows.join())) found.set(rows.join(), { line, xs, ys });
  }
  return [...found.values()];
}

/** Least and greatest value of each axis, over all rows; one score has one span on both. */
function spansOf(keys) {
  const own = keys.map((key) => scoresOf(key, lines)).map((values) => [values[0] ?? 0, values.at(-1) ?? 1]);
  const both = [Math.min(own[0][0], own[1][0]), Math.max(own[0][1], own[1][1])];
  return (keys[0].name === keys[1].name ? [both, both] : own).map(([low, high]) => {
    const room = (high - low || Math.abs(low) || 1) * 0.03;
    return { low: low - room, high: high + room };
  });
}

function axes([x, y], isOneScore, toX, toY, size) {
  const rule = (d) => svg("path", { class: "rule", d });
  const words = (attributes, value) => svg("text", attributes, number(value));
  const [floor, end] = [size.height - PLOT.bottom, size.width - PLOT.right];
  const parts = [
    ...ticks(x.low, x.high).flatMap((v) => [rule(`M${toX(v)} ${PLOT.top}V${floor}`), words({ x: toX(v), y: floor + 17, "text-anchor": "middle" }, v)]),
    ...ticks(y.low, y.high).flatMap((v) => [rule(`M${PLOT.left} ${toY(v)}H${end}`), words({ x: PLOT.left - 7, y: toY(v) + 4, "text-anchor": "end" }, v)]),
  ];
  // Above this line a row has more of the same score on the second axis.
  if (isOneScore) parts.push(svg("path", { class: "even", d: `M${toX(x.low)} ${toY(y.low)}L${toX(x.high)} ${toY(y.high)}` }));
  return svg("g", { "aria-hidden": "true" }, ...parts);
}

function dotNode(point, x, y) {
  const label = `Zoom row ${point.line.id}: ${x.label} ${number(point.xs)}, ${y.label} ${number(point.ys)}`;
  point.node = svg("circle", { cx: point.x, cy: point.y, r: 4, role: "button", tabindex: -1, "aria-label": label });
  point.node.point = point;
  return point.node;
}

/** Offers all scores for both axes; at first two of different names where there are such. */
function layAxes() {
  for (const axis of ["across", "up"]) at(axis).append(...scoreKeys.map((key, index) => option(index, key.label)));
  const other = scoreKeys.findIndex((key) => key.name !== scoreKeys[0].name);
  at("up").value = other < 0 ? 1 : other;
  at("scatter").hidden = scoreKeys.length < 2;
}

const axisKeys = () => [scoreKeys[at("across").value], scoreKeys[at("up").value]];

function drawScatter(some) {
  if (at("scatter").hidden) return;
  const [x, y] = axisKeys(), spans = spansOf([x, y]);
  const width = Math.min(PLOT.width, at("plot-room").clientWidth), height = Math.round(width * PLOT.ratio);
  const toX = (value) => PLOT.left + placeOf(spans[0], value) * (width - PLOT.left - PLOT.right);
  const toY = (value) => height - PLOT.bottom - placeOf(spans[1], value) * (height - PLOT.top - PLOT.bottom);
  const points = pointsOf(x, y, some).map((point) => ({ ...point, x: toX(point.xs), y: toY(point.ys) }));
  const hadFocus = plot.contains(document.activeElement);
  for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) plot.setAttribute(name, value);
  plot.replaceChildren(axes(spans, x.name === y.name, toX, toY, { width, height }), ...points.map((point) => dotNode(point, x, y)));
  const known = points.find((point) => point.line === dots.point?.line);
  dots = { points, point: null };
  mark(known ?? null);
  if (hadFocus) known?.node.focus({ preventScroll: true });
  const rho = spearman(points);
  const relation = Number.isNaN(rho) ? "" : `, rank correlation ${rho.toFixed(2)} (Spearman)`;
  at("relation").textContent = `${points.length} ${points.length === 1 ? "row" : "rows"}${relation}`;
}

/** Makes a dot the one that Tab reaches and whose row is shown; null: none yet. */
function mark(point) {
  const stop = () => dots.point ?? dots.points[0];
  dots.point?.node.classList.remove("marked");
  stop()?.node.setAttribute("tabindex", -1);
  dots.point = point;
  stop()?.node.setAttribute("tabindex", 0);
  point?.node.classList.add("marked");
  at("pointed").replaceChildren(...(point ? cardOf(point) : [el("p", { class: "quiet" }, "Point at a dot, or go there with Tab and the arrow keys, to see its row.")]));
}

const judged = ({ line }) => [...new Set(axisKeys().map((key) => key.column.host))].filter((column) => pictureAt(line, column));

/** What stands beside the dots: the pictures that were judged, the prompt, both scores. */
function cardOf(point) {
  const columns = judged(point);
  const pictures = columns.map((column) => {
    const { uri, width, height } = pictureAt(point.line, column);
    const img = el("img", { src: uri, width, height, alt: "", class: isSmall(pictureAt(point.line, column)) ? "small" : undefined });
    return el("figure", {}, img, columns.length > 1 ? el("figcaption", { class: "quiet" }, pickName(column)) : null);
  });
  const values = axisKeys().map((key, i) => [key.label, number([point.xs, point.ys][i])]);
  return [el("div", { class: "judged" }, ...pictures), el("p", { class: "ids" }, el("b", {}, `Row ${point.line.id}`)),
    el("p", { class: "prompt", dir: "auto" }, point.line.prompt), table(values)];
}

/** To a dot, keyboard and all. */
function pointAt(point) {
  mark(point);
  point.node.focus({ preventScroll: true });
  at("dots-and-row").scrollIntoView({ block: "nearest" });
}

function openPoint(point) {
  openZoom(point.line, judged(point).at(-1), (line) => pointAt(dots.points.find((other) => other.line === line) ?? point));
}

/** To the next dot along an axis. */
function movePoint(axis, amount) {
  const other = axis === "x" ? "y" : "x";
  const order = [...dots.points].sort((a, b) => a[axis] - b[axis] || a[other] - b[other] || a.line.order - b.line.order);
  const next = order[order.indexOf(dots.point) + amount];
  if (next) pointAt(next);
}

/** The dot that a pointer means. */
function near(event) {
  const box = plot.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let best = null, least = REACH;
  for (const point of dots.points) {
    const far = Math.hypot(point.x - x, point.y - y);
    if (far < least) [best, least] = [point, far];
  }
  return best;
}

plot.addEventListener("pointermove", (event) => {
  const point = near(event);
  plot.classList.toggle("near", Boolean(point));
  if (point && point !== dots.point) mark(point);
});
plot.addEventListener("focusin", ({ target }) => { if (target.point && target.point !== dots.point) mark(target.point); });
plot.addEventListener("click", (event) => {
  const point = near(event);
  if (point) openPoint(point);
});
for (const name of ["across", "up"]) at(name).addEventListener("input", drawCharts);
