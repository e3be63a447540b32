"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const tools = at("tools"), grid = at("grid"), zoom = at("zoom");
  const SOURCE = 0;

  /** An element. Texts become text nodes: nothing of a row is ever read as HTML. */
  function el(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  const number = (value) =>
    value === null ? "none" : Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));

  function words(value) {
    if (typeof value === "number") return number(value);
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  // What is shown where

  const columns = data.columns.map((column, place) => ({ ...column, place }));
  const pictured = columns.filter((column) => column.has_pictures);
  const scoreKeys = columns.flatMap((column) => column.scores.map((name) => ({ column, name })));
  for (const key of scoreKeys) {
    const twins = scoreKeys.filter((other) => other.name === key.name);
    const mark = key.column.variant || key.column.title;
    key.label = twins.length > 1 ? `${key.name} · ${mark}` : key.name;
    const values = data.groups.flatMap((g) => g.lines.map((l) => l.cells[key.column.place]?.scores?.[key.name]));
    const known = values.filter((value) => typeof value === "number");
    key.low = Math.min(...known);
    key.high = Math.max(...known);
  }
  const isChosen = data.runs.some((run) => run.steps.some((step) => step.chooses));
  const FATES = { kept: "Kept", dropped: "Dropped", failed: "Failed", waiting: "Not done" };

  const lines = [];
  const groups = data.groups.map((group, order) => {
    const own = { ...group, order };
    own.lines = group.lines.map((line) => {
      const cells = Object.values(line.cells);
      const texts = cells.flatMap((cell) => Object.values(cell.texts ?? {}));
      const fates = Object.values(line.fates);
      const found = [line.id, line.prompt, group.prompt, ...texts, ...fates.map((f) => f.reason)];
      const full = { ...line, group: own, order: lines.length, haystack: found.join("\n").toLowerCase() };
      full.states = new Set(fates.map((fate) => fate.state));
      lines.push(full);
      return full;
    });
    return own;
  });

  const pictureAt = (line, column) => data.pictures[line.cells[column.place]?.picture];
  const scoreOf = (line, key) => line.cells[key.column.place]?.scores?.[key.name] ?? null;
  const nameOf = (column) => (column.variant ? `${column.title} · ${column.variant}` : column.title);
  const visible = () => groupsInOrder.flatMap((g) => g.shown.filter((line) => !line.hidden));

  // The grid

  function image(picture, alt) {
    const kind = Math.max(picture.width, picture.height) <= 128 ? "small" : undefined;
    return el("img", { src: picture.uri, width: picture.width, height: picture.height, alt, class: kind, decoding: "async" });
  }

  function fateMarks(line) {
    return Object.entries(line.fates).flatMap(([run, fate]) => {
      if (!isChosen && fate.state === "kept") return [];
      const variant = data.runs[run].variant;
      const by = fate.state === "kept" || !fate.stage ? "" : ` by ${fate.stage}`;
      const where = fate.state === "failed" ? ` in ${fate.stage}: ${fate.reason}` : by;
      const text = `${variant ? `${variant}: ` : ""}${FATES[fate.state].toLowerCase()}${where}`;
      return [el("span", { class: `fate ${fate.state}`, dir: "auto" }, text)];
    });
  }

  function scoreMeter(line, key) {
    const value = scoreOf(line, key);
    if (value === null && line.cells[key.column.place]?.scores?.[key.name] === undefined) return null;
    const bar = el("i", { class: "bar-fill" });
    const span = key.high - key.low || 1;
    bar.style.width = value === null ? "0" : `${4 + (96 * (value - key.low)) / span}%`;
    return el("div", { class: "score" }, el("span", {}, key.name.replace(/^score\./, "")), el("b", {}, number(value)), bar);
  }

  function cellNode(line, column) {
    const cell = line.cells[column.place];
    const node = el("div", { class: "cell" }, el("span", { class: "caption" }, nameOf(column)));
    if (!cell) return el("div", { class: "cell empty" });
    const picture = pictureAt(line, column);
    const owner = cell.row === line.id ? "" : ` of row ${cell.row}`;
    if (picture) {
      const label = `Zoom ${nameOf(column)}${owner}, row ${line.id}`;
      const button = el("button", { type: "button", class: "picture", tabindex: "-1", "aria-label": label }, image(picture, ""));
      button.addEventListener("click", () => openZoom(line, column));
      button.addEventListener("focus", () => { here = { line, column }; });
      line.buttons.set(column, button);
      node.append(button);
    } else if (column.latents_only) {
      node.append(el("p", { class: "quiet" }, "latents, not decoded"));
    }
    for (const [name, text] of Object.entries(cell.texts ?? {})) {
      node.append(el("p", { class: "text", dir: "auto", title: name }, text));
    }
    node.append(...scoreKeys.filter((key) => key.column === column).map((key) => scoreMeter(line, key)).filter(Boolean));
    if (owner && picture) node.append(el("p", { class: "quiet" }, `row ${cell.row}`));
    return node;
  }

  function lineNode(line) {
    line.buttons = new Map();
    const single = line.group.lines.length === 1;
    const prompt = single || line.prompt !== line.group.prompt ? el("p", { class: "prompt", dir: "auto" }, line.prompt) : null;
    const seed = line.seed === null ? null : el("span", { class: "quiet" }, `seed ${line.seed}`);
    const about = el("div", { class: "about" }, el("p", { class: "ids" }, el("b", {}, line.id), " ", seed), prompt, ...fateMarks(line));
    line.node = el("article", { class: "line", tabindex: "-1", "aria-label": `Row ${line.id}` }, about, ...columns.map((c) => cellNode(line, c)));
    line.node.addEventListener("focus", () => { here = { line, column: here?.column }; });
    const states = [...line.states];
    line.node.classList.toggle("lost", states.length > 0 && states.every((state) => state === "dropped"));
    return line.node;
  }

  function groupNode(group) {
    const count = group.lines.length;
    const head = count === 1 ? null : el("h2", { dir: "auto" }, el("b", {}, group.id), " ", group.prompt || "row", el("span", { class: "quiet" }, ` ${count} rows`));
    group.node = el("section", { class: "group" }, head, ...group.lines.map(lineNode));
    return group.node;
  }

  function headNode() {
    const cells = columns.map((column) =>
      el("div", { class: "cell", title: column.use }, el("b", {}, column.title), el("span", { class: "quiet" }, column.variant)));
    return el("div", { class: "line head", "aria-hidden": "true" }, el("div", { class: "about" }, el("b", {}, "row")), ...cells);
  }

  /** Heights that a browser may count on for rows that it has not drawn yet. */
  function foretell() {
    const edge = Number(tools.edge.value);
    document.documentElement.style.setProperty("--edge", `${edge}px`);
    const shape = Math.max(...data.pictures.slice(0, 32).map((p) => p.height / p.width), 0);
    for (const group of groups) {
      const heads = group.lines.length === 1 ? 0 : 40;
      group.node.style.setProperty("--tall", `${heads + group.shown.length * Math.max(64, edge * shape + 24)}px`);
    }
  }

  function drawRuns() {
    for (const run of data.runs) {
      const steps = run.steps.map((step) => {
        const given = Object.entries(step.params).map(([key, value]) => `${key}=${words(value)}`).join(" ");
        const item = el("li", { title: step.use }, el("b", {}, step.label), given ? el("span", { class: "given" }, ` ${given}`) : null, el("span", { class: "quiet" }, ` ${step.rows}`));
        item.classList.toggle("chooses", step.chooses);
        return item;
      });
      at("runs").append(el("div", { class: "run" }, el("b", { class: "name" }, run.name), el("ol", {}, ...steps)));
    }
  }

  function drawTools() {
    const option = (value, text) => el("option", { value }, text);
    tools.sort.append(option("", "as given"), option("prompt", "prompt, A to Z"));
    scoreKeys.forEach((key, index) => {
      tools.sort.append(option(`-${index}`, `${key.label}, greatest first`), option(`+${index}`, `${key.label}, least first`));
      tools.score.append(option(index, key.label));
    });
    at("score-tool").hidden = !scoreKeys.length;
    const states = Object.keys(FATES).filter((state) => lines.some((line) => line.states.has(state)));
    tools.fate.append(option("", "all rows"), ...states.map((state) => option(state, FATES[state].toLowerCase())));
    at("fate-tool").hidden = states.length < 2;
  }

  // Search, filter, sort

  let groupsInOrder = groups;

  function fits(line) {
    const terms = tools.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!terms.every((term) => line.haystack.includes(term))) return false;
    if (tools.fate.value && !line.states.has(tools.fate.value)) return false;
    const { low, high } = tools;
    if (!scoreKeys.length || (low.value === "" && high.value === "")) return true;
    const value = scoreOf(line, scoreKeys[tools.score.value]);
    return value !== null && (low.value === "" || value >= Number(low.value)) && (high.value === "" || value <= Number(high.value));
  }

  function comparison() {
    const order = tools.sort.value;
    if (order === "") return (a, b) => a.order - b.order;
    if (order === "prompt") return (a, b) => a.prompt.localeCompare(b.prompt) || a.order - b.order;
    const key = scoreKeys[Number(order.slice(1))], sign = order[0] === "-" ? -1 : 1;
    const rank = (line) => { const value = scoreOf(line, key); return value === null ? Infinity : sign * value; };
    return (a, b) => { const x = rank(a), y = rank(b); return x < y ? -1 : x > y ? 1 : a.order - b.order; };
  }

  /** Hide what does not fit and bring the rest in order; source rows go by their first row. */
  function arrange() {
    const compare = comparison();
    for (const line of lines) {
      line.hidden = !fits(line);
      line.node.hidden = line.hidden;
    }
    for (const group of groups) {
      group.shown = [...group.lines].sort(compare);
      group.best = group.shown.find((line) => !line.hidden);
      group.node.hidden = !group.best;
      group.node.append(...group.shown.map((line) => line.node));
    }
    groupsInOrder = [...groups].sort((a, b) => (a.best && b.best ? compare(a.best, b.best) : a.order - b.order));
    grid.append(...groupsInOrder.map((group) => group.node));
    const shown = visible().length;
    at("count").textContent = shown === lines.length ? `${shown} rows` : `${shown} of ${lines.length} rows`;
    at("nothing").hidden = shown > 0;
    foretell();
    rove();
  }

  function clearTools() {
    tools.search.value = tools.low.value = tools.high.value = tools.fate.value = "";
    arrange();
    tools.search.focus();
  }

  // Where the keyboard is: one row, one of its pictures

  let here = null;

  const target = (place) => place.line.buttons.get(place.column) ?? [...place.line.buttons.values()].at(-1) ?? place.line.node;

  /** One row alone is in the order of Tab; arrows reach the others. */
  function rove() {
    for (const node of grid.querySelectorAll('[tabindex="0"]')) node.tabIndex = -1;
    const rows = visible();
    if (!here || here.line.hidden) here = rows.length ? { line: rows[0], column: pictured.at(-1) } : null;
    if (here) target(here).tabIndex = 0;
  }

  function goTo(line, column) {
    here = { line, column };
    rove();
    target(here).focus({ preventScroll: true });
    line.node.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const rows = visible();
    if (!rows.length) return;
    const isIn = grid.contains(document.activeElement) && document.activeElement !== grid;
    const now = rows.indexOf(here?.line);
    const next = isIn ? Math.min(Math.max(now + step, 0), rows.length - 1) : Math.max(now, 0);
    goTo(rows[next], here?.column ?? pictured.at(-1));
  }

  function moveAcross(step) {
    if (!here) return;
    const mine = [...here.line.buttons.keys()];
    const next = mine[mine.indexOf(here.column) + step];
    if (next) goTo(here.line, next);
  }

  // The zoom

  let seen = null;

  /** Pictures that can be put beside those of a row: its own, then those of its siblings. */
  function offers(line) {
    const own = pictured.filter((column) => pictureAt(line, column)).map((column) => ({ line, column, text: nameOf(column) }));
    const others = line.group.lines.filter((other) => other !== line).flatMap((other) =>
      pictured.filter((c) => pictureAt(other, c) && other.cells[c.place].row === other.id).map((column) => ({ line: other, column, text: `${nameOf(column)}, row ${other.id}` })));
    return own.concat(others);
  }

  function openZoom(line, column) {
    const all = offers(line);
    const right = Math.max(all.findIndex((offer) => offer.line === line && offer.column === column), 0);
    // Beside a picture stands the same stage of another run, else the stage before it.
    const twin = all.findIndex((o, i) => i !== right && o.line === line && o.column.title === all[right]?.column.title);
    const left = twin >= 0 ? twin : right > 0 ? right - 1 : Math.min(1, all.length - 1);
    seen = { line, all, right, left };
    fillPickers();
    drawZoom();
    if (!zoom.open) zoom.showModal();
    at("facts").scrollTop = 0;
  }

  function fillPickers() {
    for (const pick of [at("left-pick"), at("right-pick")]) {
      const parts = [["This row", (o) => o.line === seen.line], ["Rows beside it", (o) => o.line !== seen.line]];
      pick.replaceChildren(...parts.map(([label, isIn]) => {
        const options = seen.all.flatMap((offer, index) => (isIn(offer) ? [el("option", { value: index }, offer.text)] : []));
        return options.length ? el("optgroup", { label }, ...options) : null;
      }).filter(Boolean));
    }
  }

  function show(img, offer) {
    const picture = offer && pictureAt(offer.line, offer.column);
    img.hidden = !picture;
    if (!picture) return img.removeAttribute("src");
    img.src = picture.uri;
    img.alt = `${offer.text}: ${offer.line.prompt}`;
    img.classList.toggle("small", Math.max(picture.width, picture.height) <= 128);
  }

  function drawZoom() {
    const { line, all, right, left } = seen;
    const isPair = all.length > 1;
    const isSplit = isPair && at("compare").checked;
    at("zoom-title").textContent = line.prompt || `Row ${line.id}`;
    const rows = visible();
    at("zoom-place").textContent = `${rows.indexOf(line) + 1} of ${rows.length}`;
    show(at("right"), all[right]);
    show(at("left"), isSplit ? all[left] : null);
    const picture = all[right] && pictureAt(all[right].line, all[right].column);
    at("frame").style.setProperty("--ratio", picture ? picture.width / picture.height : 1);
    at("frame").style.setProperty("--most", picture ? `${picture.width * 12}px` : "0px");
    at("frame").classList.toggle("split", isSplit);
    at("frame").hidden = !picture;
    at("left-tool").hidden = !isSplit;
    at("compare-tool").hidden = !isPair;
    at("right-name").textContent = isSplit ? "Right" : "Picture";
    at("right-pick").closest("label").hidden = !all.length;
    at("left-pick").value = left;
    at("right-pick").value = right;
    at("dimensions").textContent = picture ? `${picture.full[0]} × ${picture.full[1]} in the store` : "This row has no picture";
    slide();
    drawFacts();
  }

  function slide() {
    at("frame").style.setProperty("--at", `${at("slider").value}%`);
  }

  function step(amount) {
    const rows = visible();
    const next = rows[rows.indexOf(seen.line) + amount];
    if (next) openZoom(next, seen.all[seen.right]?.column ?? pictured.at(-1));
  }

  function turn(amount) {
    const own = seen.all.filter((offer) => offer.line === seen.line).length;
    const next = seen.right + amount;
    if (next < 0 || next >= own) return;
    openZoom(seen.line, seen.all[next].column);
  }

  // Facts beside the picture

  function table(rows) {
    return el("dl", { class: "table" }, ...rows.map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value instanceof Node ? value : words(value)))));
  }

  /** A value of a record: a list of records as a table, which is how searches tell their trace. */
  function valueNode(value) {
    if (Array.isArray(value) && value.length && value.every((item) => item && typeof item === "object" && !Array.isArray(item))) {
      const names = [...new Set(value.flatMap((item) => Object.keys(item)))];
      const head = el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)));
      const rows = value.map((item) => el("tr", {}, ...names.map((name) => el("td", { dir: "auto" }, item[name] === undefined ? "" : words(item[name])))));
      return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
    }
    if (value && typeof value === "object" && !Array.isArray(value)) {
      return table(Object.entries(value).map(([name, item]) => [name, valueNode(item)]));
    }
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
      const given = Object.entries(step.params).map(([key, value]) => `${key}=${words(value)}`).join(" ");
      const column = columns[step.column];
      const isOwn = column && column.use.split(" → ")[0] === step.use;
      const facts = isOwn && line.cells[column.place] ? cellFacts(line, column) : null;
      const ends = fate?.stage === step.label ? el("span", { class: `fate ${fate.state}`, dir: "auto" }, fate.reason || FATES[fate.state].toLowerCase()) : null;
      return el("li", {}, el("b", {}, step.label), given ? el("span", { class: "given" }, ` ${given}`) : null, ends, facts);
    });
    return el("div", {}, data.runs.length > 1 ? el("h4", {}, run.name) : null, el("ol", { class: "history" }, ...items));
  }

  function lastPicture(line) {
    const column = [...pictured].reverse().find((c) => pictureAt(line, c));
    return column && { column, picture: pictureAt(line, column) };
  }

  function leafNode(line) {
    const last = lastPicture(line);
    const scores = scoreKeys.map((key) => [key, scoreOf(line, key)]).filter(([, value]) => value !== null);
    const button = el("button", { type: "button", class: "leaf", "aria-current": line === seen.line ? "true" : undefined },
      last ? image(last.picture, "") : null,
      el("span", {}, el("b", {}, line.id), ...scores.map(([key, value]) => el("span", { class: "quiet" }, `${key.label.replace(/^score\./, "")} ${number(value)}`)), ...fateMarks(line)));
    button.addEventListener("click", () => openZoom(line, last?.column));
    return button;
  }

  /** Source row, rows between, candidates: a list in lists. */
  function lineageNode(group) {
    const root = { id: group.id, children: new Map(), line: null };
    for (const line of group.lines) {
      let node = root;
      for (const id of line.lineage.slice(1)) {
        if (!node.children.has(id)) node.children.set(id, { id, children: new Map(), line: null });
        node = node.children.get(id);
      }
      node.line = line;
    }
    const between = (node) => {
      const below = group.lines.find((line) => line.lineage.includes(node.id));
      const cell = Object.values(below.cells).find((c) => c.row === node.id && c.texts?.prompt);
      return el("p", { dir: "auto" }, el("b", {}, node.id), " ", cell?.texts.prompt ?? "");
    };
    const draw = (node) => el("li", {},
      node.line ? leafNode(node.line) : node === root ? el("p", { dir: "auto" }, el("b", {}, node.id), " ", group.prompt) : between(node),
      node.children.size ? el("ul", {}, ...[...node.children.values()].map(draw)) : null);
    return el("ul", { class: "lineage" }, draw(root));
  }

  function commandText(line, column) {
    const cell = line.cells[column.place];
    const fill = (part) => (typeof part === "string" ? part : part === SOURCE ? line.group.source : cell.row);
    return column.command.parts.map(fill).join("");
  }

  function commandNode(line, column) {
    if (!column?.command || !line.cells[column.place]) return [];
    const title = el("h3", {}, "Make it again");
    if (!line.group.source) return [title, el("p", { class: "quiet" }, "Its source row holds a picture or another array that no file brings back: give the same stages that file.")];
    const text = el("pre", { id: "command", tabindex: "0" }, commandText(line, column));
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
    const offer = all[right];
    const holder = offer?.line ?? line;
    const asked = line.group.prompt !== line.prompt ? [["asked", line.group.prompt]] : [];
    const runs = offer ? offer.column.runs.map((index) => data.runs[index]) : data.runs;
    at("facts").replaceChildren(
      el("p", { class: "marks" }, el("b", {}, `row ${line.id}`), " ", line.seed === null ? "" : `seed ${line.seed}`, " ", ...fateMarks(line)),
      table([...asked, ["prompt", line.prompt]]),
      ...commandNode(holder, offer?.column),
      el("h3", {}, line.group.lines.length > 1 ? "Lineage and candidates" : "Lineage"), lineageNode(line.group),
      el("h3", {}, "Stages"), ...runs.map((run) => historyNode(holder, run)));
  }

  // Keys

  function onGridKey(event) {
    const actions = {
      ArrowDown: () => move(1), j: () => move(1), ArrowUp: () => move(-1), k: () => move(-1),
      ArrowRight: () => moveAcross(1), ArrowLeft: () => moveAcross(-1),
      Home: () => move(-Infinity), End: () => move(Infinity),
      "/": () => { tools.search.focus(); tools.search.select(); },
      "?": () => at("help").showModal(),
      v: () => { at("sheet").checked = !at("sheet").checked; drawSheet(); },
    };
    return actions[event.key];
  }

  function onZoomKey(event) {
    const actions = {
      j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
      ArrowRight: () => turn(1), ArrowLeft: () => turn(-1),
      s: () => { at("compare").checked = !at("compare").checked; drawZoom(); if (at("frame").classList.contains("split")) at("slider").focus(); },
      c: copy,
      "?": () => at("help").showModal(),
    };
    return actions[event.key];
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
    const tag = event.target.tagName;
    const isArrow = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
    if (tag === "SELECT" || (tag === "INPUT" && (isArrow || !["range", "checkbox"].includes(event.target.type)))) {
      if (event.key === "Escape" && !zoom.open) event.target.blur();
      return;
    }
    if (event.target.id === "command" && isArrow) return;
    const act = (zoom.open ? onZoomKey : onGridKey)(event);
    if (!act) return;
    event.preventDefault();
    act();
  });

  function drawSheet() {
    document.body.classList.toggle("sheet", at("sheet").checked);
    foretell();
  }

  zoom.addEventListener("close", () => goTo(seen.line, seen.all[seen.right]?.column));
  zoom.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });
  at("close").addEventListener("click", () => zoom.close());
  at("previous").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("slider").addEventListener("input", slide);
  at("compare").addEventListener("change", drawZoom);
  at("left-pick").addEventListener("change", (event) => { seen.left = Number(event.target.value); drawZoom(); });
  at("right-pick").addEventListener("change", (event) => { seen.right = Number(event.target.value); drawZoom(); });
  at("help-button").addEventListener("click", () => at("help").showModal());
  at("sheet").addEventListener("change", drawSheet);
  at("clear").addEventListener("click", clearTools);
  tools.edge.addEventListener("input", foretell);
  tools.addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["search", "sort", "fate", "score", "low", "high"]) tools[name].addEventListener("input", arrange);

  at("grid").replaceChildren(headNode(), ...groups.map(groupNode));
  document.querySelector("h1").textContent = data.runs.map((run) => run.name).join(" · ");
  const width = (column) => (column.has_pictures || column.latents_only ? "calc(var(--edge) + 12px)" : column.scores.length ? "8rem" : "minmax(8rem, 18rem)");
  document.documentElement.style.setProperty("--columns", columns.map(width).join(" ") || "1fr");
  drawRuns();
  drawTools();
  arrange();
})();
