/** Inputs for the experiment loader: real files, broken by common mistakes or by hostile changes. */
import { hostileText } from "./hostile.js";
import type { Random } from "./random.js";

const PIECES = [
  ..."\n:-?{}[],&*!|>'\"%@`# \t\r\\\0\u007f\u0085\u202e\u2028\ufeff\ufffe\ud800",
  ..."落é🔥\u200b\u0301",
  ..."---\n|...\n|\n  |\n\t|\r\n|<<: |<<: *a\n|*a|&a |!!map |!!js/function |!<x> |? |- |: |, |%YAML 1.1\n|# c\n".split(
    "|",
  ),
  "|\n  ",
  ">-\n  ",
  '"\\u202e"',
  '"\\e[31m"',
  '"\\ud800"',
  '"\\x"',
  "''",
] as const;

/** Replacements for a word: values that are nearly right, and values that never are. */
const WORDS =
  "null ~ true off .inf -.inf .nan 1e999 -0 0x7fffffff 0o777 1_000 9007199254740993 1e-400 0.5 -1 0 1 51 " +
  "0s 1ms 250ms 1.5s 30s 60s 61m 1h 1e3s 999999999999999999999999999999s NaN none all one outage Deployment " +
  "delete-pods delete-workload scale-to-zero static-pod systemd-unit kube-dns kubelet etcd kube-proxy " +
  "component: kind: name: type: gracePeriod: every: nodes: window: __proto__: constructor: toString: hasOwnProperty: " +
  "__proto__ constructor prototype ../../etc/x ..\\x . .. / a/b con -a a- A a.b %2e%2e%2f /../x /a/..;/x /%2e%2e/x //x/y /a?b=../c 200-399 599-200 http-service abortWhen: path: $HOME 2026-01-01 12:30:45";
const TOKENS = [...WORDS.split(" "), "x".repeat(64), "a".repeat(300), "kube‐dns", "kube-dnѕ"];

type Mutation = (bytes: Buffer, random: Random, corpus: readonly Buffer[]) => Buffer;

const flipBit: Mutation = (bytes, random) => {
  const changed = Buffer.from(bytes);
  const at = random.below(bytes.length);
  if (bytes.length > 0) changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8));
  return changed;
};
const anyByte: Mutation = (bytes, random) =>
  insert(bytes, random.below(bytes.length + 1), Buffer.from([random.below(256)]));
const truncate: Mutation = (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1));
const behead: Mutation = (bytes, random) => bytes.subarray(random.below(bytes.length + 1));
const cutOut: Mutation = (bytes, random) => {
  const from = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + random.below(16))]);
};
const duplicate: Mutation = (bytes, random) => {
  const from = random.below(bytes.length + 1);
  const part = bytes.subarray(from, from + random.below(200));
  return insert(bytes, random.below(bytes.length + 1), part);
};
const splice: Mutation = (bytes, random, corpus) => {
  const other = random.pick(corpus);
  return Buffer.concat([truncate(bytes, random, corpus), behead(other, random, corpus)]);
};
const append: Mutation = (bytes, random, corpus) => Buffer.concat([bytes, random.pick(corpus)]);
const piece: Mutation = (bytes, random) =>
  insert(bytes, random.below(bytes.length + 1), Buffer.from(random.pick(PIECES)));

const lines =
  (change: (lines: string[], random: Random) => void): Mutation =>
  (bytes, random) => {
    const all = bytes.toString("latin1").split("\n");
    change(all, random);
    return Buffer.from(all.join("\n"), "latin1");
  };
const moveLine = lines((all, random) => {
  const [line = ""] = all.splice(random.below(all.length), 1);
  all.splice(random.below(all.length + 1), 0, line);
});
const repeatLine = lines((all, random) => {
  all.splice(random.below(all.length + 1), 0, all[random.below(all.length)] ?? "");
});
const dropLine = lines((all, random) => void all.splice(random.below(all.length), 1));
const indentLine = lines((all, random) => {
  const at = random.below(all.length);
  all[at] = " ".repeat(random.below(6)) + (all[at] ?? "").trimStart();
});

/** Replaces a word with one of TOKENS or of another file. */
const swapWord: Mutation = (bytes, random, corpus) => {
  const words = [...bytes.toString("latin1").matchAll(/[^\s:{}[\],#]+/g)];
  if (words.length === 0) return bytes;
  const { 0: old, index } = random.pick(words);
  const others = random.chance(0.5)
    ? []
    : (random
        .pick(corpus)
        .toString("latin1")
        .match(/[^\s#]+/g) ?? []);
  const word =
    others.length > 0 ? Buffer.from(random.pick(others), "latin1") : Buffer.from(random.pick(TOKENS));
  return Buffer.concat([bytes.subarray(0, index), word, bytes.subarray(index + old.length)]);
};

const encode: Mutation = (bytes, random) => {
  const text = bytes.toString("utf8");
  const utf16 = Buffer.from(text, "utf16le");
  return random.pick([
    () => Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]),
    () => Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(utf16).swap16()]),
    () => utf16,
    () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]),
    () => Buffer.concat([Buffer.from([0xff, 0xfe, 0, 0]), utf16]),
    () => Buffer.from(`${text}# café 落\n`, "latin1"),
    () => Buffer.from(text.replaceAll("\n", "\r\n")),
    () => Buffer.from(text.replaceAll("\n", "\r")),
  ])();
};

const hostile: Mutation = (bytes, random) =>
  insert(bytes, random.below(bytes.length + 1), Buffer.from(`\n${hostileText(random)}\n`));

/** Mutations with their weights. */
const MUTATIONS: readonly (readonly [Mutation, number])[] = [
  [swapWord, 12],
  [piece, 8],
  [flipBit, 5],
  [anyByte, 4],
  [truncate, 3],
  [behead, 1],
  [cutOut, 5],
  [duplicate, 3],
  [splice, 3],
  [append, 1],
  [moveLine, 4],
  [repeatLine, 3],
  [dropLine, 4],
  [indentLine, 4],
  [encode, 1],
  [hostile, 3],
];
const DECK = MUTATIONS.flatMap(([mutation, weight]) => Array.from({ length: weight }, () => mutation));

/** An input: a real file with one to six changes. */
export function makeInput(random: Random, corpus: readonly Buffer[]): Buffer {
  let bytes = random.pick(corpus);
  const changes = 1 + random.below(random.chance(0.5) ? 2 : 6);
  for (let change = 0; change < changes; change += 1) bytes = random.pick(DECK)(bytes, random, corpus);
  return bytes;
}

function insert(bytes: Buffer, at: number, part: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)]);
}
