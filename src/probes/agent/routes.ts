/** The HTTP routes of the agent. main.ts lists them. */
import fs from "node:fs";
import type { IncomingMessage } from "node:http";
import { validatePlan, type ProberPlan } from "../prober-plan.js";
import { checkRequest, logRequest, runCheck } from "./ask-once.js";
import { BodyError } from "./body.js";
import { cgroupVersion } from "./cgroup.js";
import type { Prober } from "./prober.js";
import type { SampleFile } from "./sample-file.js";

/** Maximum size of a request body, bytes. Plans are the largest. */
const REQUEST_LIMIT = 256 * 1024;
/** Maximum number of checks in progress: they must not disturb the sampling. */
const CHECK_LIMIT = 32;

/** The plan on disk, so that a restarted container continues on its own. */
export class PlanFile {
  constructor(private readonly file: string) {}

  /** undefined also if it cannot be read: the runner can send a new plan. */
  load(): ProberPlan | undefined {
    try {
      return validatePlan(JSON.parse(fs.readFileSync(this.file, "utf8")));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT")
        console.error(`ignoring the saved plan: ${String(error)}`);
      return undefined;
    }
  }

  save(plan: ProberPlan): void {
    fs.writeFileSync(`${this.file}.new`, JSON.stringify(plan));
    fs.renameSync(`${this.file}.new`, this.file);
  }

  remove(): void {
    fs.rmSync(this.file, { force: true });
  }
}

export interface Agent {
  readonly boot: string;
  readonly prober: Prober;
  readonly samples: SampleFile;
  readonly planFile: PlanFile;
}

export interface Answer {
  readonly status: number;
  readonly body: string | Buffer;
  readonly headers?: Record<string, string>;
}

type Route = (agent: Agent, request: IncomingMessage, url: URL) => Answer | Promise<Answer>;

function json(value: unknown): Answer {
  return { status: 200, body: JSON.stringify(value), headers: { "content-type": "application/json" } };
}

const putPlan: Route = async ({ boot, prober, planFile }, request) => {
  const plan = validatePlan(await readJson(request, "plan"));
  planFile.save(plan);
  prober.apply(plan);
  return json({ boot, runId: plan.runId });
};

let checksInProgress = 0;

const ROUTES: Readonly<Record<string, Route>> = {
  "GET /healthz": ({ boot, prober, samples }) =>
    json({ boot, runId: prober.plan?.runId ?? null, lost: samples.lost, cgroup: cgroupVersion() }),

  "GET /clock": ({ boot }) => json({ boot, t: performance.now() }),

  "GET /plan": ({ prober }) =>
    prober.plan === undefined ? { status: 404, body: "no plan is set" } : json(prober.plan),

  "PUT /plan": putPlan,
  "POST /plan": putPlan,

  "DELETE /plan": ({ boot, prober, planFile }) => {
    planFile.remove();
    prober.stop();
    return json({ boot });
  },

  "GET /samples": async ({ samples }, _request, url) => {
    const text = url.searchParams.get("offset") ?? "0";
    if (!/^\d{1,15}$/.test(text)) return { status: 400, body: "offset must be a number of bytes" };
    await samples.flush();
    const lines = await samples.read(Number(text));
    if (lines === undefined) return { status: 416, body: `the sample file is shorter than ${text} bytes` };
    const next = String(Number(text) + lines.length);
    return {
      status: 200,
      body: lines,
      headers: { "content-type": "application/x-ndjson", "x-next-offset": next },
    };
  },

  "POST /check": async (_agent, request) => {
    const check = checkRequest(await readJson(request, "check"), "check");
    if (checksInProgress >= CHECK_LIMIT)
      return { status: 429, body: `${CHECK_LIMIT} checks are already in progress` };
    checksInProgress += 1;
    try {
      return json(await runCheck(check));
    } finally {
      checksInProgress -= 1;
    }
  },

  "POST /log": async ({ boot }, request) => {
    console.log(logRequest(await readJson(request, "log"), "log").text);
    return json({ boot });
  },
};

/**
 * @param what name of the body in messages
 * @throws BodyError if it is not JSON, or too long
 */
async function readJson(request: IncomingMessage, what: string): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > REQUEST_LIMIT) throw new BodyError(`${what} must not be longer than ${REQUEST_LIMIT} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw new BodyError(`${what} must be JSON: ${(error as Error).message}`);
  }
}

/** Never rejects: 404 for an unknown route, 400 for a bad body, 500 for any other error. */
export async function answer(agent: Agent, request: IncomingMessage): Promise<Answer> {
  try {
    const url = new URL(request.url ?? "/", "http://agent");
    const asked = `${request.method} ${url.pathname}`;
    const route = ROUTES[asked];
    return route === undefined
      ? { status: 404, body: `unknown route: ${asked}` }
      : await route(agent, request, url);
  } catch (error) {
    if (error instanceof BodyError) return { status: 400, body: error.message };
    return { status: 500, body: String(error) };
  }
}
