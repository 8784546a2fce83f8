/** Longer words are not compared: a key of a hostile file can be as long as the file. */
const MAX_LENGTH = 64;

/** Other names for a word: `kube-dns` → `coredns`, `dns`, … */
export type Aliases = Readonly<Record<string, readonly string[]>>;

/**
 * The candidate that a wrong word probably means: the one with the fewest edits (a swap of neighbours is one edit, case is
 * ignored), if they are few for its length; or the one of which it is an alias, with at most one edit.
 */
export function nearest(
  word: string,
  candidates: readonly string[],
  aliases: Aliases = {},
): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  const compare = (candidate: string, text: string, limit: number): void => {
    const distance = editDistance(word.toLowerCase(), text.toLowerCase());
    if (distance <= limit && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  };
  for (const candidate of candidates)
    compare(candidate, candidate, Math.max(1, Math.floor(candidate.length / 3)));
  for (const candidate of candidates.filter((each) => Object.hasOwn(aliases, each)))
    // A short alias is near to many words.
    for (const alias of aliases[candidate] ?? []) compare(candidate, alias, alias.length < 5 ? 0 : 1);
  return best;
}

/** `; did you mean X?`, or "" if no candidate is near. */
export function didYouMean(word: string, candidates: readonly string[], aliases: Aliases = {}): string {
  const near = nearest(word, candidates, aliases);
  return near === undefined ? "" : `; did you mean ${near}?`;
}

/** Number of insertions, deletions, substitutions and swaps of neighbours between two words. */
function editDistance(a: string, b: string): number {
  if (a.length > MAX_LENGTH || b.length > MAX_LENGTH) return Number.POSITIVE_INFINITY;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(change, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, (beforePrevious[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
