import type { Watchdog } from "../safety/watchdog.js";
import type { RunView } from "../ui/base.js";

export interface Guard {
  /** The program and arguments that start `chaos`, for the watchdog; undefined: without a watchdog. */
  readonly chaos: readonly string[] | undefined;
  readonly allowCommands: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly view: Pick<RunView, "warn">;
}

/** What the work gets: the watchdog, if there is one. */
export interface Guarded {
  readonly watchdog?: Watchdog;
}

/** Does work with a watchdog: a second process that undoes what this one leaves behind when it is killed. */
export async function guarded<T>(
  { chaos, allowCommands, env, view }: Guard,
  work: (guarded: Guarded) => Promise<T>,
): Promise<T> {
  if (chaos === undefined) return await work({});
  const { Watchdog } = await import("../safety/watchdog.js");
  const watchdog = new Watchdog({
    command: [...chaos, "watchdog", ...(allowCommands ? ["--allow-commands"] : [])],
    env,
    warn: (text) => view.warn(text),
  });
  try {
    return await work({ watchdog });
  } finally {
    // It undoes what the work did not release.
    watchdog.end();
  }
}
