// Where the keyboard is: one row, one of its pictures. Arrows move it; Tab enters and leaves.

let here = null;

const target = (place) => place.line.buttons.get(place.column) ?? [...place.line.buttons.values()].at(-1) ?? place.line.name;

/** One row alone is in the order of Tab; arrows reach the others. */
function rove() {
  for (const node of grid.querySelectorAll('[tabindex="0"]')) node.tabIndex = -1;
  if (!here || here.line.hidden) {
    const first = visible()[0];
    here = first ? { line: first, column: pictured.at(-1) } : null;
  }
  if (here) target(here).tabIndex = 0;
}

function goTo(line, column) {
  here = { line, column };
  rove();
  target(here).focus({ preventScroll: true });
  line.node.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function move(amount) {
  const rows = visible();
  if (!rows.length) return;
  const isIn = grid.contains(document.activeElement) && document.activeElement !== grid;
  const now = rows.indexOf(here?.line);
  const next = isIn ? Math.min(Math.max(now + amount, 0), rows.length - 1) : Math.max(now, 0);
  goTo(rows[next], here?.column ?? pictured.at(-1));
}

function moveAcross(amount) {
  if (!here) return;
  // Where a row has one picture, as on most sheets, the row beside it is meant.
  const mine = [...here.line.buttons.keys()];
  if (mine.length < 2 && at("sheet").checked) return move(amount);
  const next = mine[mine.indexOf(here.column) + amount];
  if (next) goTo(here.line, next);
}

/** To the row above or below; on a sheet, where several stand side by side, to the nearest. */
function moveDown(amount) {
  if (!at("sheet").checked || !here || !grid.contains(document.activeElement)) return move(amount);
  const box = (line) => line.node.getBoundingClientRect();
  const from = box(here.line);
  const ahead = visible().map((line) => [line, box(line)]).filter(([, { top }]) => (top - from.top) * amount > 1);
  if (amount < 0) ahead.reverse();
  const beside = ahead.filter(([, { top }]) => Math.abs(top - ahead[0][1].top) < 1);
  beside.sort(([, a], [, b]) => Math.abs(a.left - from.left) - Math.abs(b.left - from.left));
  if (beside.length) goTo(beside[0][0], here.column);
}

const openHelp = () => at("help").showModal();

const GRID_KEYS = {
  ArrowDown: () => moveDown(1), ArrowUp: () => moveDown(-1), j: () => move(1), k: () => move(-1),
  ArrowRight: () => moveAcross(1), ArrowLeft: () => moveAcross(-1),
  Home: () => move(-Infinity), End: () => move(Infinity),
  "/": () => { tools.search.focus(); tools.search.select(); },
  "?": openHelp,
  v: () => { at("sheet").checked = !at("sheet").checked; drawSheet(); },
  d: toggleCharts, b: openVote,
};

const POINT_KEYS = {
  ...GRID_KEYS,
  ArrowRight: () => movePoint("x", 1), ArrowLeft: () => movePoint("x", -1),
  ArrowUp: () => movePoint("y", -1), ArrowDown: () => movePoint("y", 1),
  Enter: () => openPoint(dots.point), " ": () => openPoint(dots.point),
};

const ZOOM_KEYS = {
  ArrowDown: () => step(1), ArrowUp: () => step(-1), j: () => step(1), k: () => step(-1),
  ArrowRight: () => turn(1), ArrowLeft: () => turn(-1),
  s: toggleCompare, c: copy, "?": openHelp,
};

const VOTE_KEYS = {
  1: () => castVote("left"), 2: () => castVote("right"), 0: () => castVote("tie"), u: undoVote, "?": openHelp,
};

function keysFor(target) {
  if (vote.open) return VOTE_KEYS;
  if (zoom.open) return ZOOM_KEYS;
  return target.point ? POINT_KEYS : GRID_KEYS;
}

const isArrow = (key) => key.startsWith("Arrow") || key === "Home" || key === "End";

/** Whether a key belongs to the control that has the focus. */
function isTaken({ key, target: { tagName, type, id } }) {
  if (tagName === "SELECT" || (id === "command" && isArrow(key))) return true;
  return tagName === "INPUT" && (isArrow(key) ? type !== "checkbox" : !["range", "checkbox"].includes(type));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  if (event.key === "Escape") return goBack(event);
  if (isTaken(event)) return;
  const act = keysFor(event.target)[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/** From a dialog to what it covers; from the tools or the charts to the rows. */
function goBack(event) {
  if (![vote, zoom].some((dialog) => dialog.open) && ![tools, charts].some((part) => part.contains(event.target))) return;
  event.preventDefault();
  if (vote.open) vote.close();
  else if (zoom.open) leave();
  else if (here) goTo(here.line, here.column);
}

/** Back to the row last seen, before the next key: the dialog's own close event comes later. */
function leave() {
  zoom.close();
  comeBack(seen.line, seen.column);
}

function measure() {
  document.documentElement.style.setProperty("--page", `${document.documentElement.clientWidth}px`);
}

function start() {
  grid.replaceChildren(headNode(), ...groups.map(groupNode), el("section", { id: "flat" }));
  document.querySelector("h1").textContent = data.runs.length > 2 ? data.store : data.runs.map((run) => run.name).join(" · ");
  layColumns();
  drawRuns();
  drawTools();
  layCharts();
  layVote();
  drawSheet();
  arrange();
}

zoom.addEventListener("click", (event) => { if (event.target === zoom) leave(); });
at("close").addEventListener("click", leave);
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("slider").addEventListener("input", slide);
at("compare").addEventListener("change", drawZoom);
at("left-pick").addEventListener("change", (event) => { seen.left = Number(event.target.value); drawZoom(); });
at("right-pick").addEventListener("change", (event) => {
  seen.right = Number(event.target.value);
  seen.column = seen.all[seen.right].column;
  drawZoom();
});
at("help-button").addEventListener("click", openHelp);
at("sheet").addEventListener("change", drawSheet);
at("clear").addEventListener("click", clearTools);
tools.edge.addEventListener("input", foretell);
tools.addEventListener("submit", (event) => event.preventDefault());
tools.score.addEventListener("input", drawBounds);
for (const name of ["search", "sort", "fate", "score", "low", "high"]) tools[name].addEventListener("input", arrange);
new ResizeObserver(measure).observe(document.documentElement);
start();
