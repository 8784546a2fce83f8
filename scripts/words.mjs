/**
 * Words that must not be used in comments, messages, test titles and pages, and what to use instead: one word for one
 * thing. `npm run lint:words` checks it. A space in a pattern also matches a line break in a comment.
 *
 * @type {readonly { readonly pattern: string; readonly use: string }[]}
 */
export const WORDS = [
  { pattern: "anew", use: "recreated, re-list, again" },
  { pattern: "whoever", use: "anyone who, whether" },
  { pattern: "somebody", use: "someone; for a change: foreign change" },
  { pattern: "in vain", use: "timed out after …" },
  { pattern: "of ours", use: "own" },
  { pattern: "ours", use: "own" },
  { pattern: "(go|goes|going|went|gone) on", use: "continue(s)" },
  { pattern: "blows?", use: "kill" },
  { pattern: "wholly", use: "fully" },
  { pattern: "(let|lets|letting) up", use: "release, end the attack" },
  { pattern: "(put|puts|putting) back", use: "undo, restore" },
  { pattern: "stand-ins?", use: "substitute image" },
  { pattern: "(take|takes|taking|took|taken) away", use: "remove, undo" },
];

/**
 * Whole strings that are names in data. They cannot be renamed, because existing files and clusters contain them. Keys
 * such as `standIns` need no entry: only words with their hyphens and spaces are reported.
 *
 * @type {readonly { readonly text: string; readonly why: string }[]}
 */
export const ALLOWED = [
  { text: "stand-ins.json", why: "the key of a ConfigMap that existing labs have" },
  { text: "kube-system-chaos-stand-ins", why: "the name of that ConfigMap" },
  { text: "blows", why: "a key of result.json, which must stay readable" },
  { text: "kube-system-chaos.stand-in", why: "the label of images that existing labs have built" },
];
