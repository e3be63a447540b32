// Votes as they are counted, written to a file and read again.

const VOTES = "imgtool.votes/1";
const Z = 1.959964; // 95 % of a normal distribution lie within so many deviations
const OTHER_SIDE = { a: "b", b: "a" };

/** A comparison of two stages' pictures without votes. */
function newBallot(a, b, seed) {
  return { sides: { a, b }, seed, pairs: drawn(pairsOf(a, b), seed), cast: [], isSaved: true };
}

const countOf = (ballot, test) => ballot.cast.filter(test).length;

/** Wilson's interval for a share of `wins` in `count` (Wilson, 1927). */
function wilson(wins, count) {
  const share = wins / count, z2 = (Z * Z) / count;
  const middle = (share + z2 / 2) / (1 + z2);
  const reach = (Z / (1 + z2)) * Math.sqrt((share * (1 - share)) / count + z2 / (4 * count));
  return [Math.max(0, middle - reach), Math.min(1, middle + reach)];
}

/** What a file says of a side; the first run stands for all that share the stage. */
function sideRecord(column) {
  const run = data.runs[column.runs[0]];
  return { instance: column.key, run: run.name, stage: column.title, use: column.use, variant: column.variant };
}

/** Votes in the order in which they were cast; members in the order of the alphabet. */
function votesText({ sides, seed, pairs, cast }) {
  const votes = cast.map(({ rows, line, left, winner }) => ({ a: rows.a, b: rows.b, left, prompt: line.group.prompt, winner }));
  const value = { a: sideRecord(sides.a), b: sideRecord(sides.b), pairs: pairs.length, schema: VOTES, seed, store: data.store, votes };
  return `${JSON.stringify(value, null, 2)}\n`;
}

const findSide = (side) => pictured.find((column) => column.key === side?.instance && column.runs.some((run) => data.runs[run].name === side.run));

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A comparison to go on with, or, as text, why there is none in a file. */
function readVotes(text) {
  const value = parsed(text);
  if (value?.schema !== VOTES) return `This is no file of votes (${VOTES}).`;
  const [a, b] = [findSide(value.a), findSide(value.b)];
  if (!a || !b || a === b) return "These votes are about pictures that this page does not have.";
  if (!Number.isInteger(value.seed) || value.seed < 0 || value.seed >= SEEDS || !Array.isArray(value.votes)) return "This file of votes is damaged.";
  const ballot = newBallot(a, b, value.seed);
  const pairs = new Map(ballot.pairs.map((pair) => [pairKey(pair.rows.a, pair.rows.b), pair]));
  for (const given of value.votes) {
    const pair = pairs.get(pairKey(given?.a, given?.b));
    if (!pair) return `This page has no pair of the rows ${words(given?.a ?? null)} and ${words(given?.b ?? null)}.`;
    if (pair.winner || !["a", "b", "tie"].includes(given.winner) || !["a", "b"].includes(given.left)) return "This file of votes is damaged.";
    Object.assign(pair, { winner: given.winner, left: given.left });
    ballot.cast.push(pair);
  }
  // What is voted on comes first, so that undoing leads back to it.
  ballot.pairs.sort((one, other) => Boolean(other.winner) - Boolean(one.winner));
  return ballot;
}
