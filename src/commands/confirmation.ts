/** What the confirmation of a command depends on. */
export interface Confirming {
  readonly select: { readonly context?: string };
  /** --yes */
  readonly yes: boolean;
  /** undefined: there is no terminal. */
  readonly ask?: (question: string) => Promise<boolean>;
}

/** Whether a cluster that is not local may be changed: only if its context was named and confirmed. */
export function confirmation(
  { select: { context }, yes, ask }: Confirming,
  question: (context: string) => string,
): () => Promise<boolean> {
  return async () => {
    if (context === undefined) return false;
    return yes || (await ask?.(question(context))) === true;
  };
}
