/**
 * Runs in a privileged pod on a node (hostPID). Runs commands on that node, in the namespaces of its first process, for
 * anyone who has the token. Bundled into one file for Node 18 or newer (dist/node-agent.mjs).
 *
 * GET /healthz: 200. POST /exec {token, argv, timeoutMs}: 200 {code, stdout, stderr, ended?}; 401 wrong token;
 * 400 invalid request; 429 too many at once.
 */
import { spawn } from "node:child_process";
import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { Readable } from "node:stream";

const PORT = Number(process.env["PORT"] ?? 8081);
const TOKEN_FILE = process.env["TOKEN_FILE"] ?? "/token/token";
/** The command that enters the node's namespaces; empty in tests. */
const ENTER = (process.env["ENTER"] ?? "nsenter -t 1 -m -u -i -n -p --")
  .split(" ")
  .filter((part) => part !== "");
/** Limits of a request's body and of each output of a command, bytes. */
const MAX_BODY = 256 * 1024;
const MAX_OUTPUT = 1024 * 1024;
/** Most commands at once. */
const MAX_COMMANDS = 16;
/** Longest time limit of a command, ms. */
const MAX_TIMEOUT_MS = 120_000;
/** For commands on the node: the pod's environment does not apply there. */
const ENVIRONMENT = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" };

interface Answer {
  readonly status: number;
  readonly body: object;
}

/** How a command ended; `ended`: why it was killed, or could not be started. */
interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ended?: string;
}

let running = 0;

const server = createServer((request, response) => {
  answer(request).then(
    ({ status, body }) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(body));
    },
    (error: unknown) => {
      // Only the kind of the error, because the request's body contains the token.
      response.writeHead(500, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ error: error instanceof Error ? error.name : "error" }));
    },
  );
});
server.listen(PORT);
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));

async function answer(request: IncomingMessage): Promise<Answer> {
  if (request.method === "GET" && request.url === "/healthz") return { status: 200, body: { ok: true } };
  if (request.method !== "POST" || request.url !== "/exec")
    return { status: 400, body: { error: "no such request" } };
  const asked = await readJson(request);
  if (asked === undefined)
    return { status: 400, body: { error: "the body is too long or not a JSON object" } };
  const { token, argv, timeoutMs } = asked;
  if (typeof token !== "string" || !(await isToken(token)))
    return { status: 401, body: { error: "wrong token" } };
  if (!isArgv(argv) || !isTimeout(timeoutMs)) {
    return { status: 400, body: { error: `argv: strings; timeoutMs: 1 to ${MAX_TIMEOUT_MS}` } };
  }
  if (running >= MAX_COMMANDS) return { status: 429, body: { error: `${running} commands already run` } };
  running += 1;
  try {
    return { status: 200, body: await run(argv, timeoutMs) };
  } finally {
    running -= 1;
  }
}

function isArgv(argv: unknown): argv is string[] {
  return Array.isArray(argv) && argv.length > 0 && argv.every((each) => typeof each === "string");
}

function isTimeout(ms: unknown): ms is number {
  return typeof ms === "number" && ms >= 1 && ms <= MAX_TIMEOUT_MS;
}

/** Reads the file each time: the kubelet replaces it when the Secret is recreated. */
async function isToken(given: string): Promise<boolean> {
  const token = (await readFile(TOKEN_FILE, "utf8")).trim();
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return token !== "" && timingSafeEqual(hash(given), hash(token));
}

/** @returns undefined: too long, or not a JSON object */
async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

async function run(argv: readonly string[], timeoutMs: number): Promise<Ended> {
  const [command = "", ...args] = [...ENTER, ...argv];
  // Its own process group, so that its child processes are killed with it.
  const child = spawn(command, args, { env: ENVIRONMENT, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let ended: string | undefined;
  const end = (why: string): void => {
    if (ended !== undefined || child.pid === undefined) return;
    ended = why;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It ended by itself at the same moment.
    }
  };
  const timer = setTimeout(() => end(`timed out after ${timeoutMs} ms`), timeoutMs);
  const collect = (stream: Readable): (() => string) => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_OUTPUT) end(`more than ${MAX_OUTPUT} bytes of output`);
      else chunks.push(chunk);
    });
    return () => Buffer.concat(chunks).toString("utf8");
  };
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const code = await new Promise<number | null>((resolve) => {
    child.on("error", (error) => {
      ended ??= `the command could not be started: ${error.message}`;
      resolve(null);
    });
    child.on("close", resolve);
  });
  clearTimeout(timer);
  return { code, stdout: stdout(), stderr: stderr(), ...(ended === undefined ? {} : { ended }) };
}
