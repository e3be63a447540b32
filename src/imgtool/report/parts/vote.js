// Blind vote: two pictures, three keys, and what the votes say in the end.

let ballot = null; // the comparison that goes on, or null
let isCounted = false; // whether the result is looked at before all pairs are voted on

const openPair = () => ballot?.pairs.find((pair) => !pair.winner);

/** At first the last pictures of two runs, or of two stages of one run, are offered. */
function layVote() {
  at("vote-button").hidden = pictured.length < 2;
  for (const name of ["side-a", "side-b"]) at(name).append(...pictured.map((column, index) => option(index, pickName(column))));
  const ofRuns = [...new Set(data.runs.map((_, run) => pictured.findLast((column) => column.runs.includes(run))))].filter(Boolean);
  const [a, b] = ofRuns.length > 1 ? ofRuns : pictured.slice(-2);
  at("side-a").value = pictured.indexOf(a);
  at("side-b").value = pictured.indexOf(b);
}

const chosenSides = () => ["side-a", "side-b"].map((name) => pictured[at(name).value]);

function drawChoice() {
  const [a, b] = chosenSides();
  const count = a === b ? 0 : pairsOf(a, b).length;
  at("pair-count").textContent = a === b ? "Choose two different sides." : `${count} ${count === 1 ? "pair" : "pairs"}`;
  at("vote-go").disabled = !count;
}

function openVote() {
  if (at("vote-button").hidden) return;
  vote.showModal();
  if (ballot) goOn(ballot);
  else newVote();
}

/** The choice of sides, with a new lot. */
function newVote() {
  at("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
  at("vote-file").value = at("vote-problem").textContent = "";
  goOn(null);
}

/** To the next pair of a comparison, its result when there is none, the choice of sides without one. */
function goOn(to) {
  ballot = to;
  isCounted = false;
  at("vote-told").textContent = "";
  if (!ballot) drawChoice();
  drawVote();
  if (!ballot) at("vote-go").focus();
  else if (openPair()) vote.focus();
}

function drawVote() {
  const pair = isCounted ? null : openPair();
  at("vote-start").hidden = Boolean(ballot);
  at("vote-pair").hidden = !pair;
  at("vote-end").hidden = !ballot || Boolean(pair);
  at("vote-bar").hidden = !ballot;
  if (pair) drawPair(pair);
  else if (ballot) drawResult();
  if (!ballot) return;
  const [done, all] = [ballot.cast.length, ballot.pairs.length];
  at("vote-place").textContent = `${done} of ${all}`;
  Object.assign(at("vote-progress"), { value: done, max: all });
  at("vote-undo").disabled = !done;
  at("vote-count").hidden = done === all;
  at("vote-count").textContent = isCounted ? "Go on" : "Result so far";
  at("vote-new").hidden = Boolean(pair);
  at("vote-new").disabled = !ballot.isSaved;
}

function drawPair({ line, images, left }) {
  at("vote-prompt").textContent = line.group.prompt || `Row ${line.group.id}`;
  const sides = { "left-vote": images[left], "right-vote": images[OTHER_SIDE[left]] };
  const isPixels = isSmall(images.a) && isSmall(images.b);
  for (const [name, picture] of Object.entries(sides)) {
    const img = at(name).querySelector("img");
    img.src = picture.uri;
    img.classList.toggle("small", isPixels);
  }
}

/** A vote for what stands on a side, or for neither. */
function castVote(side) {
  const pair = isCounted ? null : openPair();
  if (!pair) return;
  pair.winner = { left: pair.left, right: OTHER_SIDE[pair.left], tie: "tie" }[side];
  ballot.cast.push(pair);
  ballot.isSaved = false;
  at("vote-told").textContent = "";
  drawVote();
  if (!openPair()) at("vote-save").focus();
}

function undoVote() {
  const pair = ballot?.cast.pop();
  if (!pair) return;
  pair.winner = null;
  ballot.isSaved = false;
  goOn(ballot);
}

function countVotes() {
  isCounted = !isCounted;
  drawVote();
}

const percent = (share) => `${Math.round(100 * share)} %`;

/** What the votes show, in sentences. */
function verdict(names, wins, decided) {
  if (!decided) return ["No pair is decided."];
  const [low, high] = wilson(wins, decided);
  const isOpen = low <= 0.5 && high >= 0.5;
  const left = countOf(ballot, ({ left: side, winner }) => winner === side);
  return [
    `${names.a} won ${wins} of ${decided} decided pairs: ${percent(wins / decided)}, 95 % interval ${percent(low)} to ${percent(high)} (Wilson).`,
    isOpen ? "One half lies in that interval: these votes show no preference." : `One half lies outside that interval: these votes prefer ${low > 0.5 ? names.a : names.b}.`,
    `Picture 1, whichever that was, won ${left} of ${decided}.`,
  ];
}

function drawResult() {
  const names = { a: pickName(ballot.sides.a), b: pickName(ballot.sides.b) };
  const total = ballot.cast.length;
  const count = (winner) => countOf(ballot, (pair) => pair.winner === winner);
  const row = (name, number) => el("tr", {}, el("th", { scope: "row", dir: "auto" }, name), el("td", {}, String(number)), el("td", {}, total ? percent(number / total) : ""));
  const head = el("tr", {}, ...["", "pairs", "share"].map((name) => el("th", { scope: "col" }, name)));
  const body = [row(`${names.a} won`, count("a")), row("tie", count("tie")), row(`${names.b} won`, count("b"))];
  const said = verdict(names, count("a"), count("a") + count("b"));
  at("vote-end").replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)), ...said.map((text) => el("p", { dir: "auto" }, text)));
}

function saveVotes() {
  const file = new Blob([votesText(ballot)], { type: "application/json" });
  el("a", { href: URL.createObjectURL(file), download: "votes.json" }).click();
  ballot.isSaved = true;
  drawVote();
  at("vote-told").textContent = "Saved as votes.json";
}

async function loadVotes({ target: { files } }) {
  if (!files.length) return;
  const found = readVotes(await files[0].text());
  if (typeof found !== "string") return goOn(found);
  at("vote-problem").textContent = found;
  at("vote-file").value = ""; // the same file, mended, is a change again
}

function startVote(event) {
  event.preventDefault();
  const [a, b] = chosenSides();
  goOn(newBallot(a, b, Number(at("seed").value)));
}

at("vote-button").addEventListener("click", openVote);
at("vote-close").addEventListener("click", () => vote.close());
at("vote-start").addEventListener("submit", startVote);
at("vote-file").addEventListener("change", loadVotes);
for (const name of ["side-a", "side-b"]) at(name).addEventListener("input", drawChoice);
for (const side of ["left", "right", "tie"]) at(`${side}-vote`).addEventListener("click", () => castVote(side));
at("vote-undo").addEventListener("click", undoVote);
at("vote-save").addEventListener("click", saveVotes);
at("vote-count").addEventListener("click", countVotes);
at("vote-new").addEventListener("click", newVote);
addEventListener("beforeunload", (event) => { if (ballot && !ballot.isSaved) event.preventDefault(); });
