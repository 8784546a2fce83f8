/** Texts that are made to harm a parser: huge, deep, with aliases, with thousands of tokens. */
import type { Random } from "./random.js";

/** Most are small, because so many are tried; some are near the size limit of a file, a few are larger. */
function lengthOf(random: Random): number {
  return random.pick([10, 100, 100, 1000, 1000, 10_000, random.chance(0.2) ? 300_000 : 1000]);
}

const UNITS = [
  ..."[ ] { } , : ? - & * ! # | > ' \" \\ \t \0".split(" "),
  "{a: ",
  "[[],",
  "? [",
  "- ",
  "? ",
  ": ",
  "a: ",
  "&a ",
  "*a ",
  "!!a ",
  "---\n",
  "-\n",
  ":\n",
  "\n",
  "\r",
  "# a\n",
  "a: b\n",
  "- a\n",
  "<<: {a: b}\n",
  '"\\x',
  "''",
  "a b ",
  "x",
  "落",
  "🔥",
  "\u0301",
] as const;

type Maker = (random: Random) => string;

const repeated: Maker = (random) => random.pick(UNITS).repeat(lengthOf(random));

/** Deeper with each line, by a random step. */
const staircase: Maker = (random) => {
  const key = random.pick(["a:", "- a:", "-", "? a", "- -", "a: &b"]);
  const depth = Math.min(300, lengthOf(random));
  const step = 1 + random.below(3);
  return Array.from({ length: depth }, (_, level) => " ".repeat(level * step) + key).join("\n");
};

/** Each level contains the one before it several times, by aliases or merge keys. */
const aliasBomb: Maker = (random) => {
  const levels = 1 + random.below(12);
  const merge = random.chance(0.5);
  return Array.from({ length: levels }, (_, level) => {
    const before = level === 0 ? "x" : `*l${level - 1}`;
    const items = Array.from({ length: 1 + random.below(10) }, () => before).join(", ");
    return merge && level > 0 ? `l${level}: &l${level} {<<: [${items}]}` : `l${level}: &l${level} [${items}]`;
  }).join("\n");
};

const manyKeys: Maker = (random) => {
  const same = random.chance(0.5);
  const count = Math.min(5000, lengthOf(random));
  return Array.from({ length: count }, (_, index) => `k${same ? 0 : index}: ${index}`).join("\n");
};

const hugeScalar: Maker = (random) => {
  const [open, close] = random.pick([
    ["title: ", ""],
    ['title: "', '"'],
    ["title: '", "'"],
    ["title: |\n  ", ""],
    ["x: ", ": y"],
    ["? ", "\n: y"],
    ["- [", "]"],
  ] as const);
  return (
    open +
    random.pick(["x", "a b ", "1", "\\x", "''", "落", "\u202e", "x: "]).repeat(lengthOf(random)) +
    close
  );
};

const MAKERS: readonly Maker[] = [repeated, staircase, aliasBomb, manyKeys, hugeScalar];

export function hostileText(random: Random): string {
  return random.pick(MAKERS)(random);
}
