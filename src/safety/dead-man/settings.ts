/** The names of the dead-man's switch, and the settings that its program gets through environment variables. */
import type { Permission } from "../../kube/permission.js";

/** The port of its /readyz. */
export const DEAD_MAN_PORT = 8082;

/** The program's file name in its ConfigMap and in dist/. */
export const PROGRAM_FILE = "dead-man.mjs";

/** Four renewals of the lock missed, while the API server answers, ms. */
export const STALE_AFTER_MS = 60_000;

/** The name of a run's switch and of all its objects. */
export function deadManName(runId: string): string {
  return `chaos-dead-man-${runId}`;
}

export interface DeadManSettings {
  readonly runId: string;
  /** https://IP:PORT of every API server, so that the switch needs neither DNS nor a Service. */
  readonly servers: readonly string[];
  /** The rights that it must have before it is ready. */
  readonly rights: readonly Permission[];
  readonly userAgent: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment variables for these settings. */
export function environmentOf(settings: DeadManSettings): Readonly<Record<string, string>> {
  return {
    CHAOS_RUN: settings.runId,
    CHAOS_API_SERVERS: settings.servers.join(" "),
    CHAOS_RIGHTS: JSON.stringify(settings.rights),
    CHAOS_USER_AGENT: settings.userAgent,
  };
}

/** @throws Error when a variable is missing. */
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
