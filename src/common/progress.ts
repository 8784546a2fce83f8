/**
 * Where work that takes longer than a second says how it goes. Implementations: a live line on a terminal,
 * plain lines in a pipe, JSON lines with --json, silence in tests.
 */
export interface Progress {
  /** Runs `work` as a named step; shows the title, notes while it runs, and its time when it is done. */
  step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T>;
  /** One line of information. */
  info(text: string): void;
  /** One line that asks for attention; never hidden. */
  warn(text: string): void;
}

/** A Progress that says nothing. */
export const silentProgress: Progress = {
  step: async (_title, work) => await work(() => undefined),
  info: () => undefined,
  warn: () => undefined,
};
