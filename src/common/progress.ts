/**
 * Shows the progress of work that takes longer than a second. Implementations: a live line on a terminal, plain lines in a
 * pipe, JSON lines with --json, nothing in tests.
 */
export interface Progress {
  /** Runs `work` as a named step. Shows the title, notes while it runs, and its duration at the end. */
  step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T>;
  /** One line of information. */
  info(text: string): void;
  /** One warning line; never hidden. */
  warn(text: string): void;
}

/** A Progress without output. */
export const silentProgress: Progress = {
  step: async (_title, work) => await work(() => undefined),
  info: () => undefined,
  warn: () => undefined,
};
