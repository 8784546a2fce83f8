/**
 * How long the rest of a session takes, for people who wait for it. Pure; all times in ms.
 *
 * @param left what the experiments take that have not begun.
 * @param done what those should have taken that have ended, and what they took with the waits between them.
 */
export function expectedRestMs(
  left: readonly number[],
  done: { readonly planned: readonly number[]; readonly tookMs: number },
): number {
  const sum = (times: readonly number[]): number => times.reduce((all, each) => all + each, 0);
  // A slow cluster is slow in all of its runs.
  const pace = done.planned.length === 0 ? 1 : done.tookMs / sum(done.planned);
  return sum(left) * pace;
}
