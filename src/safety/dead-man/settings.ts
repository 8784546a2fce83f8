/** What the dead-man's switch is called, and what its program is told: by the environment of its container. */
import type { Permission } from "../../kube/permission.js";

/** Of its /readyz. */
export const DEAD_MAN_PORT = 8082;

/** In its ConfigMap, and in dist/. */
export const PROGRAM_FILE = "dead-man.mjs";

/** Four renewals of the lock missed, while the API server answers, ms. */
export const STALE_AFTER_MS = 60_000;

/** What the switch of a run, and all that it needs, is called. */
export function deadManName(runId: string): string {
  return `chaos-dead-man-${runId}`;
}

export interface DeadManSettings {
  readonly runId: string;
  /** https://IP:PORT of every API server: by no name, and past every Service. */
  readonly servers: readonly string[];
  /** What it must be allowed to before it calls itself ready. */
  readonly rights: readonly Permission[];
  readonly userAgent: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment that says all of it. */
export function environmentOf(settings: DeadManSettings): Readonly<Record<string, string>> {
  return {
    CHAOS_RUN: settings.runId,
    CHAOS_API_SERVERS: settings.servers.join(" "),
    CHAOS_RIGHTS: JSON.stringify(settings.rights),
    CHAOS_USER_AGENT: settings.userAgent,
  };
}

/** @throws Error when a part is missing: whoever started the program has forgotten it. */
export function settingsFrom(env: Environment): DeadManSettings {
  const read = (name: string): string => {
    const value = env[name];
    if (value === undefined || value === "") throw new Error(`${name} is not set in the environment`);
    return value;
  };
  return {
    runId: read("CHAOS_RUN"),
    servers: read("CHAOS_API_SERVERS").split(" "),
    rights: JSON.parse(read("CHAOS_RIGHTS")) as Permission[],
    userAgent: read("CHAOS_USER_AGENT"),
  };
}
