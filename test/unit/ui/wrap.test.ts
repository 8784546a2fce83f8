import test from "ava";
import { hanging, wrap } from "../../../src/ui/wrap.js";

test("words are wrapped, never broken; a word that is too long has its own line", (t) => {
  t.deepEqual(wrap("a bb  ccc\ndd", 5), ["a bb", "ccc", "dd"]);
  t.deepEqual(wrap("a very-long-word b", 6), ["a", "very-long-word", "b"]);
  t.deepEqual(wrap(" \n", 10), []);
  t.deepEqual(wrap("日本 語語", 5), ["日本", "語語"], "wide characters count twice");
});

test("the head is before the first line, and the others begin beneath its text", (t) => {
  t.deepEqual(hanging("  undo  ", "start kubelet", 14), ["  undo  start", "        kubelet"]);
  t.deepEqual(hanging("  undo  ", ""), ["  undo"]);
});
