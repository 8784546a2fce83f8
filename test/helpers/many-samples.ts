/** A run with many samples: made of numbers, for the size and the time of what is made from it. */
import type { SampleLine } from "../../src/evidence/sample.js";
import type { ProbeName } from "../../src/experiment/names.js";
import { mulberry32 } from "./random.js";
import {
  at,
  defaultFacts,
  FIRST_KILL_MS,
  kubeDnsOutage,
  RELEASE_MS,
  type SyntheticRun,
} from "./synthetic-run.js";

const PROBES: readonly ProbeName[] = [
  "app-write",
  "app-read",
  "app-write-env",
  "app-read-env",
  "http-service",
  "dns-internal",
  "dns-same-socket",
  "tcp-service",
  "tcp-pod",
  "tcp-long-lived",
];
const FROM_MS = 20_000;
const TO_MS = 104_000;

/** @param count samples of all workers together, about. A third of the probes fails while the target is down. */
export function manySamples(count: number, workers = 6): SyntheticRun {
  const random = mulberry32(20261130);
  const run = kubeDnsOutage();
  const sources = Array.from({ length: workers }, (_, index) => `worker-${index}`);
  const each = Math.round(count / workers / PROBES.length);
  const intervalMs = (TO_MS - FROM_MS) / each;
  const lines = (): SampleLine[] => [
    { boot: "b", t: 0, wall: 0, node: "" },
    ...Array.from({ length: each }).flatMap((_, index) =>
      PROBES.map((probe, position): SampleLine => {
        // Jitter as a real prober has it: a timer is some milliseconds late, and an answer takes what it takes.
        const t = FROM_MS + index * intervalMs + random() * 12;
        const target = probe.startsWith("app-") ? { target: `frontend-6f8b-${index % 3}` } : {};
        const down = t > FIRST_KILL_MS + 2_000 && t < RELEASE_MS && position % 3 === 0;
        if (!down) return { probe, t, d: 1 + random() ** 6 * 200, ok: true, ...target };
        const kind = random() < 0.2 ? "refused" : "timeout";
        return {
          probe,
          t,
          d: kind === "timeout" ? 2_000 + random() * 3 : 1,
          ok: false,
          kind,
          message: "no answer",
          ...target,
        };
      }),
    ),
  ];
  return {
    facts: { ...defaultFacts, sources },
    events: [
      ...run.events.filter(({ type }) => type !== "clock"),
      ...sources.map((source) =>
        at(1_000, { type: "clock", source, boot: "b", offsetMs: 0, uncertaintyMs: 1 }),
      ),
    ].sort((a, b) => a.tMs - b.tMs),
    samples: sources.map((source) => ({ source, lines: lines() })),
  };
}
