/** The reporters by name: a line each. Each is loaded when it is used. */
import type { Reporter } from "./reporter.js";

export const REPORTERS = {
  plain: async () => (await import("./plain.js")).plain,
  json: async () => (await import("./json.js")).json,
  junit: async () => (await import("./junit.js")).junit,
  github: async () => (await import("./github.js")).github,
  html: async () => (await import("./html.js")).html,
  markdown: async () => (await import("./markdown.js")).markdown,
  prometheus: async () => (await import("./prometheus.js")).prometheus,
} as const satisfies Readonly<Record<string, () => Promise<Reporter>>>;

export type ReporterName = keyof typeof REPORTERS;

export const REPORTER_NAMES = Object.keys(REPORTERS) as ReporterName[];
