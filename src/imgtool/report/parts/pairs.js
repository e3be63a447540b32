// Blind vote: which pictures are compared, and, by lot, in which order and on which sides.

const SEEDS = 2 ** 32;

/** Numbers from 0 to below 1, equal for equal seeds: SplitMix (Steele, Lea and Flood, 2014) on 32 bits. */
function lots(seed) {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / SEEDS;
  };
}

function shuffled(items, lot) {
  const found = [...items];
  for (let last = found.length - 1; last > 0; last -= 1) {
    const other = Math.floor(lot() * (last + 1));
    [found[last], found[other]] = [found[other], found[last]];
  }
  return found;
}

// What two rows must share to be a pair, each tried on what those before it left over.
const TIES = [
  (line) => line.id,
  (line) => JSON.stringify([line.group.prompt, line.seed]),
  (line) => line.group.id,
];

/** Rows with a picture of a stage that no run which has it dropped. */
function entrants(column) {
  const isDropped = (line) => column.runs.every((run) => line.fates[run]?.state === "dropped");
  return lines.filter((line) => pictureAt(line, column) && !isDropped(line)).map((line) => ({ line, row: line.cells[column.place].row }));
}

function byTie(some, tie) {
  const found = new Map();
  for (const one of some) found.set(tie(one.line), [...(found.get(tie(one.line)) ?? []), one]);
  return found;
}

const pairKey = (a, b) => JSON.stringify([a, b]);

/** Pairs of pictures of two stages: of one row; else of one prompt and seed; else alone of one source row. */
function pairsOf(a, b) {
  const pairs = new Map();
  let [mine, theirs] = [entrants(a), entrants(b)];
  for (const tie of TIES) {
    const beside = byTie(theirs, tie);
    for (const [key, ones] of byTie(mine, tie)) {
      const others = beside.get(key) ?? [];
      if (ones.length !== 1 || others.length !== 1) continue;
      const [one, other] = [ones[0], others[0]];
      pairs.set(pairKey(one.row, other.row), { line: one.line, rows: { a: one.row, b: other.row }, images: { a: pictureAt(one.line, a), b: pictureAt(other.line, b) } });
    }
    const taken = (side) => new Set([...pairs.values()].map((pair) => pair.rows[side]));
    const [takenA, takenB] = [taken("a"), taken("b")];
    mine = mine.filter(({ row }) => !takenA.has(row));
    theirs = theirs.filter(({ row }) => !takenB.has(row));
  }
  return [...pairs.values()];
}

/** The pairs in the order of a lot; each side stands left in half of them. */
function drawn(pairs, seed) {
  const lot = lots(seed);
  const sides = shuffled(pairs.map((_, index) => (index % 2 ? "a" : "b")), lot);
  return shuffled(pairs, lot).map((pair, index) => ({ ...pair, left: sides[index], winner: null }));
}
