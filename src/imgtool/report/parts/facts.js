// What stands beside a zoomed picture: its command, its lineage, what each stage did.

function table(rows) {
  return el("dl", { class: "table" }, ...rows.map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value instanceof Node ? value : words(value)))));
}

const isRecord = (value) => Boolean(value) && typeof value === "object" && !Array.isArray(value);

const COPY = /^data:image\/(?:jpeg|png|webp);base64,[A-Za-z0-9+/=]+$/; // a picture in a record
const FIRST = ["picture", "round", "words"]; // what tells candidates apart leads their table

/** A cell of such a table; what has parts itself is folded. */
function entryNode(value) {
  if (value === undefined) return "";
  if (!isRecord(value) && !(Array.isArray(value) && value.some(isRecord))) return valueNode(value);
  const count = Object.keys(value).length;
  return el("details", {}, el("summary", {}, `${count} ${count === 1 ? "entry" : "entries"}`), valueNode(value));
}

/** A value of a record: a list of records as a table, which is how searches tell their trace. */
function valueNode(value) {
  if (typeof value === "string" && COPY.test(value)) return el("img", { src: value, alt: "", class: "copy" });
  if (Array.isArray(value) && value.length && value.every(isRecord)) {
    const all = [...new Set(value.flatMap((item) => Object.keys(item)))];
    const names = [...FIRST.filter((name) => all.includes(name)), ...all.filter((name) => !FIRST.includes(name))];
    const head = el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)));
    const rows = value.map((item) => el("tr", {}, ...names.map((name) => el("td", { dir: "auto" }, entryNode(item[name])))));
    return el("div", { class: "scroll", tabindex: "0" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
  }
  if (isRecord(value)) return table(Object.entries(value).map(([name, item]) => [name, valueNode(item)]));
  return document.createTextNode(words(value));
}

function cellFacts(line, column) {
  const cell = line.cells[column.place];
  const rows = Object.entries({ ...cell.texts, ...cell.scores, ...cell.facts }).map(([name, value]) => [name, valueNode(value)]);
  return rows.length ? table(rows) : null;
}

function historyNode(line, run) {
  const fate = line.fates[data.runs.indexOf(run)];
  const items = run.steps.filter((step, index) => index > 0 || step.column !== null).map((step) => {
    const column = columns[step.column];
    const isOwn = column && column.use.split(" → ")[0] === step.use;
    const facts = isOwn && line.cells[column.place] ? cellFacts(line, column) : null;
    const item = stepNode({ ...step, rows: null }, { rows: null });
    if (fate?.stage === step.label) item.append(el("span", { class: `fate ${fate.state}`, dir: "auto" }, fate.reason || FATES[fate.state].toLowerCase()));
    if (facts) item.append(facts);
    return item;
  });
  return el("div", {}, data.runs.length > 1 ? el("h4", {}, run.name) : null, el("ol", { class: "history" }, ...items));
}

// Lineage

let tree = { key: "", node: null, leaves: new Map() };

function lastPictured(line) {
  return [...pictured].reverse().find((column) => pictureAt(line, column));
}

function leafNode(line, column) {
  const shown = column && pictureAt(line, column) ? column : lastPictured(line);
  const runs = column?.runs ?? [...data.runs.keys()];
  const keys = scoreKeys.filter((key) => key.column.runs.some((run) => runs.includes(run)) && scoreOf(line, key) !== null);
  const label = (key) => `${keys.some((other) => other !== key && other.name === key.name) ? key.label : key.short} ${number(scoreOf(line, key))}`;
  const marks = keys.map((key) => el("span", { class: "quiet" }, label(key)));
  const button = el("button", { type: "button", class: "leaf" },
    shown ? image(pictureAt(line, shown)) : null,
    el("span", {}, el("b", {}, line.id), ...marks, ...fateMarks(line, runs)));
  button.addEventListener("click", () => openZoom(line, shown));
  return button;
}

/** Source row, rows between, candidates: a list in lists. */
function lineageNode(group, leaves) {
  const root = { id: group.id, children: new Map(), prompt: group.prompt };
  for (const line of group.lines) {
    let node = root;
    for (const id of line.lineage.slice(1)) {
      if (!node.children.has(id)) node.children.set(id, { id, children: new Map() });
      node = node.children.get(id);
      node.prompt ??= Object.values(line.cells).find((cell) => cell.row === id && cell.texts?.prompt)?.texts.prompt;
    }
    node.leaf = leaves.get(line);
  }
  const draw = (node) => el("li", {},
    node.leaf ?? el("p", { dir: "auto" }, el("b", {}, node.id), " ", node.prompt ?? ""),
    node.children.size ? el("ul", {}, ...[...node.children.values()].map(draw)) : null);
  return el("ul", { class: "lineage" }, draw(root));
}

/** The tree of a source row, drawn anew only where it differs from the last. */
function treeNode(line, column) {
  const key = `${line.group.order}/${column?.place}`;
  if (tree.key !== key) {
    const leaves = new Map(line.group.lines.map((other) => [other, leafNode(other, column)]));
    tree = { key, leaves, node: lineageNode(line.group, leaves) };
  }
  for (const [other, leaf] of tree.leaves) {
    if (other === line) leaf.setAttribute("aria-current", "true");
    else leaf.removeAttribute("aria-current");
  }
  return tree.node;
}

// The command

function commandText(line, column) {
  const cell = line.cells[column.place];
  const fill = (part) => (typeof part === "string" ? part : part === SOURCE ? line.group.source : cell.row);
  return column.command.parts.map(fill).join("");
}

function commandNode(line, column) {
  if (!column?.command || !line.cells[column.place]) return [];
  const title = el("h3", {}, "Make it again");
  if (!line.group.source) return [title, el("p", { class: "quiet" }, "Its source row holds a picture or another array that no file brings back: give the same stages that file.")];
  // An option is not broken at its hyphen, where it would read as two.
  const words = commandText(line, column).split(/(?<=\s)(?=-)/).map((part) => {
    const [option] = part.match(/^-\S*/) ?? [""];
    return option ? [el("span", { class: "option" }, option), part.slice(option.length)] : [part];
  });
  const text = el("pre", { id: "command", tabindex: "0" }, ...words.flat());
  const button = el("button", { type: "button", id: "copy" }, "Copy ", el("kbd", {}, "c"));
  button.addEventListener("click", copy);
  return [title, text, el("p", {}, button, " ", el("span", { id: "copied", role: "status" }))];
}

async function copy() {
  const text = at("command");
  if (!text) return;
  let isDone = false;
  try {
    await navigator.clipboard.writeText(text.textContent);
    isDone = true;
  } catch {
    getSelection().selectAllChildren(text);
    isDone = document.execCommand("copy");
  }
  at("copied").textContent = isDone ? "Copied" : "Not copied: select the text";
}

function drawFacts() {
  const { line, all, right } = seen;
  const column = all[right]?.column;
  const holder = all[right]?.line ?? line;
  const runs = column ? column.runs : [...data.runs.keys()];
  const asked = line.group.prompt !== line.prompt ? [["asked", line.group.prompt]] : [];
  const seed = line.seed === null ? "" : el("span", { class: "quiet" }, `seed ${line.seed}`);
  at("facts").replaceChildren(
    el("p", { class: "marks" }, el("b", {}, `Row ${line.id}`), " ", seed, " ", ...fateMarks(line, runs)),
    table([...asked, ["prompt", line.prompt]]),
    ...commandNode(holder, column),
    el("h3", {}, line.group.lines.length > 1 ? "Lineage and candidates" : "Lineage"), treeNode(line, column),
    el("h3", {}, "Stages"), ...runs.map((run) => historyNode(holder, data.runs[run])));
}
