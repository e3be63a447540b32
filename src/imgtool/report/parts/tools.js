// Search, filter and sort.

let inOrder = lines; // all rows as they stand in the page
let sorted = ""; // how they were sorted last

const visible = () => inOrder.filter((line) => !line.hidden);

function drawTools() {
  tools.sort.append(option("", "as given"), option("prompt", "prompt, A to Z"));
  scoreKeys.forEach((key, index) => {
    tools.sort.append(option(`-${index}`, `${key.label}, greatest first`), option(`+${index}`, `${key.label}, least first`));
    tools.score.append(option(index, key.label));
  });
  at("score-tool").hidden = !scoreKeys.length;
  const states = Object.keys(FATES).filter((state) => lines.some((line) => line.states.has(state)));
  tools.fate.append(option("", "all rows"), ...states.map((state) => option(state, FATES[state].toLowerCase())));
  at("fate-tool").hidden = states.length < 2;
  tools.edge.value = data.pictures.every(isSmall) ? SMALL : innerWidth > 1000 && pictured.length <= 3 ? 192 : 144;
  at("sheet").checked = pictured.length === 1 && lines.length > groups.length;
  drawBounds();
}

/** The least and the greatest value of the chosen score, where a bound is asked for. */
function drawBounds() {
  const key = scoreKeys[tools.score.value];
  if (!key || key.low > key.high) return;
  tools.low.placeholder = number(key.low);
  tools.high.placeholder = number(key.high);
}

function fits(line) {
  const terms = tools.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!terms.every((term) => line.haystack.includes(term))) return false;
  if (tools.fate.value && !line.states.has(tools.fate.value)) return false;
  const { low, high } = tools;
  if (!scoreKeys.length || (low.value === "" && high.value === "")) return true;
  const value = scoreOf(line, scoreKeys[tools.score.value]);
  return value !== null && (low.value === "" || value >= Number(low.value)) && (high.value === "" || value <= Number(high.value));
}

/** Rows in the chosen order; rows without the score come last. */
function ordered() {
  const order = tools.sort.value;
  if (order === "") return lines;
  if (order === "prompt") return [...lines].sort((a, b) => a.prompt.localeCompare(b.prompt) || a.order - b.order);
  const key = scoreKeys[Number(order.slice(1))], sign = order[0] === "-" ? -1 : 1;
  const rank = new Map(lines.map((line) => {
    const value = scoreOf(line, key);
    return [line, value === null ? Infinity : sign * value];
  }));
  return [...lines].sort((a, b) => (rank.get(a) === rank.get(b) ? a.order - b.order : rank.get(a) - rank.get(b)));
}

/** Rows as given stand below their source row; sorted rows stand alone. */
function sort() {
  if (tools.sort.value === sorted) return;
  sorted = tools.sort.value;
  inOrder = ordered();
  document.body.classList.toggle("flat", sorted !== "");
  if (sorted === "") for (const group of groups) group.node.append(...group.lines.map((line) => line.node));
  else at("flat").append(...inOrder.map((line) => line.node));
}

function arrange() {
  sort();
  for (const line of lines) {
    line.hidden = !fits(line);
    line.node.hidden = line.hidden;
  }
  for (const group of groups) group.node.hidden = sorted !== "" || group.lines.every((line) => line.hidden);
  const shown = visible().length;
  const all = `${lines.length} ${lines.length === 1 ? "row" : "rows"}`;
  at("count").textContent = shown === lines.length ? all : `${shown} of ${all}`;
  at("nothing").hidden = shown > 0;
  rove();
  drawCharts();
}

function clearTools() {
  tools.search.value = tools.low.value = tools.high.value = tools.fate.value = "";
  arrange();
  tools.search.focus();
}
