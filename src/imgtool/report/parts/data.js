// What the page knows: the report as Python wrote it, with what rows and columns need besides.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const tools = at("tools"), grid = at("grid"), zoom = at("zoom"), vote = at("vote");
const SOURCE = 0; // the hole of a command that takes the source row, as in model.py
const SMALL = 128; // pictures no larger, in pixels, are shown with sharp pixels

/** Gives an element its content. Texts become text nodes: nothing of a row is ever read as HTML. */
function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const el = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) => filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
const option = (value, text) => el("option", { value }, text);

function number(value) {
  if (value === null) return "none";
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

function words(value) {
  if (typeof value === "number") return number(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

const columns = data.columns.map((column, place) => ({ ...column, place }));
const pictured = columns.filter((column) => column.has_pictures);
const nameOf = (column) => (column.variant ? `${column.title} · ${column.variant}` : column.title);

/** The column that shows the scores of a stage that does nothing else: the picture they judge. */
function hostOf(column) {
  const cells = data.groups.flatMap((group) => group.lines.map((line) => line.cells[column.place]));
  const isScoreOnly = column.scores.length && !column.has_pictures && !column.latents_only
    && !cells.some((cell) => cell?.texts && Object.keys(cell.texts).length);
  if (!isScoreOnly) return column;
  const fits = (other) => other.place < column.place && column.runs.every((run) => other.runs.includes(run));
  return pictured.filter(fits).at(-1) ?? column;
}

for (const column of columns) column.host = hostOf(column);
const shownColumns = columns.filter((column) => column.host === column);
// In a list of pictures, a stage that all of them are of goes without saying.
const isOneStage = pictured.every((column) => column.variant && column.title === pictured[0].title);
const pickName = (column) => (isOneStage ? column.variant : nameOf(column));
// Where a run of several has a picture of its own, its fate stands below that.
const fateColumns = data.runs.map((_, run) =>
  (data.runs.length > 1 && pictured.filter((c) => c.runs.length === 1 && c.runs[0] === run).at(-1)) || null);

const lines = [];
const groups = data.groups.map((group, order) => {
  const own = { ...group, order };
  own.lines = group.lines.map((line) => {
    const texts = Object.values(line.cells).flatMap((cell) => Object.values(cell.texts ?? {}));
    const fates = Object.values(line.fates);
    const found = [line.id, line.prompt, group.prompt, ...texts, ...fates.map((fate) => fate.reason)];
    const full = { ...line, group: own, order: lines.length, haystack: found.join("\n").toLowerCase() };
    full.states = new Set(fates.map((fate) => fate.state));
    full.isTold = Object.values(line.cells).some((cell) => cell.texts?.prompt === line.prompt);
    full.isShared = group.lines.length > 1 && line.prompt === group.prompt;
    lines.push(full);
    return full;
  });
  return own;
});

const pictureAt = (line, column) => data.pictures[line.cells[column.place]?.picture];
const scoreOf = (line, key) => line.cells[key.column.place]?.scores?.[key.name] ?? null;

const scoreKeys = columns.flatMap((column) => column.scores.map((name) => ({ column, name })));
for (const key of scoreKeys) {
  const twins = scoreKeys.filter((other) => other.name === key.name);
  key.short = key.name.replace(/^score\./, "");
  key.label = twins.length > 1 ? `${key.short} · ${key.column.variant || key.column.title}` : key.short;
}
// One scale for all scores of one name, so that bars of two runs compare.
for (const name of new Set(scoreKeys.map((key) => key.name))) {
  const same = scoreKeys.filter((key) => key.name === name);
  let low = Infinity, high = -Infinity;
  for (const line of lines) {
    for (const key of same) {
      const value = scoreOf(line, key);
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  for (const key of same) Object.assign(key, { low, high });
}

const isChosen = data.runs.some((run) => run.steps.some((step) => step.chooses));
const FATES = { kept: "Kept", dropped: "Dropped", failed: "Failed", waiting: "Not done" };
