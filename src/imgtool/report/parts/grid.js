// The grid: a row for each line, a cell for each stage that shows something.

// A picture gets its data when it comes near the window: thousands at once would be slow.
const nearby = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    target.src = target.uri;
    nearby.unobserve(target);
  }
}, { rootMargin: "600px" });

const isSmall = (picture) => Math.max(...picture.full) <= SMALL;

/** A picture that waits until it is near. */
function image(picture) {
  const node = el("img", { width: picture.width, height: picture.height, alt: "", class: isSmall(picture) ? "small" : undefined });
  node.style.aspectRatio = `${picture.width} / ${picture.height}`;
  node.uri = picture.uri;
  nearby.observe(node);
  return node;
}

/** Where a row ended; which stage dropped it goes without saying where one alone chooses. */
function endOf({ state, stage, reason }, run) {
  if (state === "failed") return ` in ${stage}: ${reason}`;
  if (state === "waiting") return stage ? ` by ${stage}` : "";
  const choosers = data.runs[run].steps.filter((step) => step.chooses).length;
  return state === "dropped" && choosers > 1 ? ` by ${stage}` : "";
}

/** What became of a row in some runs, in words. */
function fateMarks(line, runs) {
  return runs.filter((run) => line.fates[run]).flatMap((run) => {
    const fate = line.fates[run];
    if (!isChosen && fate.state === "kept") return [];
    const variant = runs.length > 1 ? `${data.runs[run].variant}: ` : "";
    const text = `${variant}${FATES[fate.state].toLowerCase()}${endOf(fate, run)}`;
    return [el("span", { class: `fate ${fate.state}`, dir: "auto" }, text)];
  });
}

function scoreMeter(line, key) {
  const value = line.cells[key.column.place]?.scores?.[key.name];
  if (value === undefined) return null;
  const bar = el("i", { class: "bar-fill" });
  const span = key.high - key.low || 1;
  bar.style.width = value === null ? "0" : `${4 + (96 * (value - key.low)) / span}%`;
  return el("div", { class: "score" }, el("span", {}, key.short), el("b", {}, number(value)), bar);
}

function pictureButton(line, column, picture, owner) {
  const label = `Zoom ${nameOf(column)}${owner}, row ${line.id}`;
  const button = el("button", { type: "button", class: "picture", tabindex: "-1", "aria-label": label }, image(picture));
  button.addEventListener("click", () => openZoom(line, column));
  button.addEventListener("focus", () => { here = { line, column }; });
  line.buttons.set(column, button);
  return button;
}

function cellNode(line, column) {
  const cell = line.cells[column.place];
  const scores = scoreKeys.filter((key) => key.column.host === column).map((key) => scoreMeter(line, key)).filter(Boolean);
  if (!cell && !scores.length) return el("div", { class: "cell empty" });
  const node = el("div", { class: "cell" }, el("span", { class: "caption" }, column.has_pictures ? pickName(column) : nameOf(column)));
  const picture = pictureAt(line, column);
  const owner = !cell || cell.row === line.id ? "" : ` of row ${cell.row}`;
  if (picture) node.append(pictureButton(line, column, picture, owner));
  else if (column.latents_only) node.append(el("p", { class: "quiet" }, "latents, not decoded"));
  const texts = Object.entries(cell?.texts ?? {}).map(([name, text]) => el("p", { class: "text", dir: "auto", title: name }, text));
  const run = fateColumns.indexOf(column);
  const fate = run < 0 ? [] : fateMarks(line, [run]);
  node.append(...texts, ...scores, ...fate);
  node.classList.toggle("wordy", !picture && texts.length > 0);
  node.classList.toggle("lost", run >= 0 && line.fates[run]?.state === "dropped");
  if (owner && picture) node.append(el("p", { class: "quiet" }, `row ${cell.row}`));
  return node;
}

function lineNode(line) {
  line.buttons = new Map();
  const prompt = el("p", { class: "prompt", dir: "auto" }, line.prompt);
  prompt.classList.toggle("told", line.isTold);
  prompt.classList.toggle("shared", line.isShared);
  const seed = line.seed === null ? null : el("span", { class: "quiet" }, `seed ${line.seed}`);
  line.name = el("button", { type: "button", class: "id", tabindex: "-1", "aria-label": `Zoom row ${line.id}` }, line.id);
  line.name.addEventListener("click", () => openZoom(line, here?.column ?? pictured.at(-1)));
  line.name.addEventListener("focus", () => { here = { line, column: here?.column }; });
  const cells = shownColumns.map((column) => cellNode(line, column));
  const rest = [...data.runs.keys()].filter((run) => !line.cells[fateColumns[run]?.place]);
  const about = el("div", { class: "about" }, el("p", { class: "ids" }, line.name, " ", seed), prompt, ...fateMarks(line, rest));
  line.node = el("article", { class: "line", "aria-label": `Row ${line.id}` }, about, ...cells);
  line.node.classList.toggle("lost", line.states.size === 1 && line.states.has("dropped"));
  return line.node;
}

function groupNode(group) {
  const count = group.lines.length;
  const head = count === 1 ? null : el("h2", { dir: "auto" }, el("b", {}, group.id), " ", group.prompt || "row", el("span", { class: "quiet" }, ` ${count} rows`));
  group.node = el("section", { class: "group" }, head, ...group.lines.map(lineNode));
  return group.node;
}

function headNode() {
  const cells = shownColumns.map((column) =>
    el("div", { class: "cell", title: column.use }, el("b", {}, column.title), el("span", { class: "quiet" }, column.variant)));
  return el("div", { class: "head", "aria-hidden": "true" }, el("div", { class: "about" }, el("b", {}, "row")), ...cells);
}

/** Sizes that a browser may count on for rows that it has not drawn yet. */
function foretell() {
  const edge = Number(tools.edge.value);
  const shape = Math.max(...data.pictures.slice(0, 32).map((picture) => picture.height / picture.width), 0);
  const style = document.documentElement.style;
  style.setProperty("--edge", `${edge}px`);
  style.setProperty("--tall", `${Math.max(64, edge * shape + 24)}px`);
}

function layColumns() {
  const width = (column) => (column.has_pictures || column.latents_only ? "calc(var(--edge) + 12px)" : column.scores.length ? "8rem" : "minmax(8rem, 18rem)");
  const isWordy = lines.some((line) => !line.isTold && !line.isShared);
  const about = isWordy ? "minmax(13rem, 20rem)" : "13rem";
  document.documentElement.style.setProperty("--row", [about, ...shownColumns.map(width)].join(" "));
  document.body.classList.toggle("many", pictured.length > 1);
}

function stepNode(step, before) {
  const given = Object.entries(step.params).map(([key, value]) => `${key}=${words(value)}`).join(" ");
  const count = before?.rows === step.rows ? null : el("span", { class: "quiet" }, ` (${step.rows} ${step.rows === 1 ? "row" : "rows"})`);
  const item = el("li", { title: step.use }, el("b", {}, step.label), given ? el("span", { class: "given" }, ` ${given}`) : null, count);
  item.classList.toggle("chooses", step.chooses);
  return item;
}

function drawRuns() {
  const many = data.runs.length > 1;
  at("runs-title").textContent = many ? `${data.runs.length} runs of ${data.store}` : `Stages`;
  at("runs").open = data.runs.length <= 4 && innerWidth > 760;
  for (const run of data.runs) {
    const steps = run.steps.map((step, index) => stepNode(step, run.steps[index - 1]));
    at("runs").append(el("div", { class: "run" }, many ? el("b", { class: "name" }, run.name) : null, el("ol", {}, ...steps)));
  }
}

function drawSheet() {
  document.body.classList.toggle("sheet", at("sheet").checked);
  foretell();
}
