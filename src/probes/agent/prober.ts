/**
 * The prober: samples the application and the layers below it at a fixed rate, from inside the cluster.
 *
 * One file, no packages, Node 18 or newer; a ConfigMap delivers it to a pod on each worker. It only opens
 * connections to the addresses in its plan and answers on its own port; it writes nothing but the two files in
 * DATA_DIR. It asks nothing of the Kubernetes API.
 *
 *   GET    /healthz           200 as long as the process answers
 *   GET    /clock             {"boot", "t"}: which start of the agent this is, and its monotonic clock, ms
 *   GET    /plan              the plan that is being measured, or 404
 *   PUT    /plan (or POST)    starts sampling, or changes what is sampled; 400 with the reason when it is invalid
 *   DELETE /plan              stops sampling
 *   GET    /samples?offset=N  whole lines of the sample file from byte N on, at most 1 MiB; the header
 *                             x-next-offset says where to go on; 416 when the file is shorter than N
 *   POST   /check             {"kind": "tcp" | "http", "ip", "port", "timeoutMs", of http also "path" and "host"}:
 *                             makes one connection now; answers {"ok", "ms"} and, of http, "status" and "body"
 *                             (an answer is ok whatever its status), or "kind" and "message" of the failure
 *   POST   /log               {"text"}: prints one line on stdout, where the node's log agent finds it
 *
 * Environment: PORT (8080), DATA_DIR (/data), NODE_NAME (the host name), DNS_SERVERS (comma-separated
 * addresses to ask instead of the system's servers).
 *
 * The order below: time and schedule, deadlines, failures, what a good answer is, the probes, the plan, what is
 * asked for once, the sample file, the prober, the HTTP server, the start.
 *
 * Every time in this file is in milliseconds of performance.now(), which neither steps nor follows the wall
 * clock.
 */
import { randomBytes } from "node:crypto";
import dns from "node:dns";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";

/** @typedef {import("../../experiment/names.js").ProbeName} ProbeName */
/** @typedef {import("../../evidence/sample.js").FailureKind} FailureKind */
/** @typedef {import("../../evidence/sample.js").SampleLine} SampleLine */
/** @typedef {import("../prober-plan.js").ProberPlan} ProberPlan */
/** @typedef {import("../prober-plan.js").AgentProbe} AgentProbe */
/** @typedef {import("../prober-plan.js").Endpoint} Endpoint */
/** @typedef {import("../prober-plan.js").FrontEnd} FrontEnd */
/** @typedef {import("../prober-plan.js").AppTarget} AppTarget */

/**
 * What came of one sample.
 *
 * @typedef {{ ok: true, target?: string }
 *   | { ok: false, kind: FailureKind, message?: string, target?: string }
 *   | { missed: "late" | "busy" }} Outcome
 */

/** Longest error text of a sample, characters. */
const MESSAGE_LIMIT = 200;
/** Longest body that is read of an answer, bytes; the guestbook's are under a hundred. */
const BODY_LIMIT = 64 * 1024;
/** Longest answer of GET /samples, bytes. */
const CHUNK_LIMIT = 1024 * 1024;
/** Longest body of a request, bytes: a plan's. */
const REQUEST_LIMIT = 256 * 1024;
/** Checks that may be under way; the sampling must not suffer from them. */
const CHECK_LIMIT = 32;
/** How much of an answer's body POST /check hands over, characters. */
const EXCERPT_LIMIT = 200;
/** How often waiting lines are written to the file, ms. */
const FLUSH_EVERY = 200;
/** Lines that wait in memory while the disk takes none; those beyond are lost, and counted. */
const WAITING_LIMIT = 100_000;
/** A timer that fires so much too late, ms, shows that the loop was kept from running. */
const LOOP_LATE = 20;
/**
 * How long a look-up through the search path may take, ms. Longer than the plan's time-out: five seconds is
 * what the C library gives one server before it asks again, so less would call that first retry an outage.
 */
const SEARCH_DEADLINE = 5000;
/** A read may return a token up to so many writes old: followers lag, and writes overlap. */
const RECENT_WRITES = 64;

// ---------------------------------------------------------------------------------------------------------
// Time and schedule
// ---------------------------------------------------------------------------------------------------------

/**
 * The clock and the timers of a schedule, so that tests can drive them.
 *
 * @typedef {object} Clock
 * @property {() => number} now monotonic, ms
 * @property {(run: () => void, ms: number) => unknown} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** @type {Clock} */
export const systemClock = {
  now: () => performance.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * Calls `onTick` at firstMs + k·intervalMs for every k that is not already past, for ever and without drift:
 * each tick is computed from the first one, never from the one before. A tick that was still waiting when the
 * next one was due could not be kept: it goes to `onLate`, with the time at which it was due.
 *
 * @param {{ firstMs: number, intervalMs: number, clock: Clock,
 *   onTick: () => void, onLate: (dueMs: number) => void }} options
 * @returns {() => void} stops it
 */
export function startFixedRate({ firstMs, intervalMs, clock, onTick, onLate }) {
  let next = Math.max(0, Math.ceil((clock.now() - firstMs) / intervalMs));
  const due = (/** @type {number} */ k) => firstMs + k * intervalMs;
  let stopped = false;
  /** @type {unknown} */
  let timer;
  // Rounded up: a Node timer drops the fraction, and would wake a little before the tick only to sleep again.
  const arm = () => {
    timer = clock.setTimeout(wake, Math.max(0, Math.ceil(due(next) - clock.now())));
  };
  function wake() {
    const now = clock.now();
    while (due(next + 1) <= now) {
      onLate(due(next));
      next += 1;
    }
    if (due(next) <= now) {
      next += 1;
      onTick();
    }
    if (!stopped) arm();
  }
  arm();
  return () => {
    stopped = true;
    clock.clearTimeout(timer);
  };
}

/**
 * How many samples of one probe may be under way: as many as time out at once, and some to spare.
 *
 * @param {number} timeoutMs
 * @param {number} intervalMs
 */
export function maxInFlight(timeoutMs, intervalMs) {
  return Math.ceil(timeoutMs / intervalMs) + 4;
}

/**
 * One sample, whatever happens: an error that `measure` throws becomes a failed line.
 *
 * @param {ProbeName} probe
 * @param {() => Promise<Outcome | undefined>} measure undefined: there is nothing to judge yet
 * @param {() => number} now
 * @returns {Promise<SampleLine | undefined>}
 */
export async function sampleOnce(probe, measure, now) {
  const started = now();
  /** @type {Outcome | undefined} */
  let outcome;
  try {
    outcome = await measure();
  } catch (error) {
    outcome = failureOf(error);
  }
  if (outcome === undefined) return undefined;
  const t = round(started);
  if ("missed" in outcome) return { probe, t, missed: outcome.missed };
  return { probe, t, d: round(now() - started), ...outcome };
}

/**
 * Measures one probe at a fixed rate. Samples overlap: a slow answer does not hold up the next one, until
 * `limit()` of them are under way; ticks beyond that are missed as `busy`.
 *
 * @param {{ probe: ProbeName, firstMs: number, intervalMs: number, clock: Clock, limit: () => number,
 *   measure: () => Promise<Outcome | undefined>, emit: (line: SampleLine) => void }} options
 *   `emit` must not throw.
 * @returns {{ stop(): Promise<void> }} `stop` ends the ticks and waits for the samples under way.
 */
export function startProbe({ probe, firstMs, intervalMs, clock, limit, measure, emit }) {
  /** @type {Set<Promise<void>>} */
  const inFlight = new Set();
  const onTick = () => {
    if (inFlight.size >= limit()) {
      emit({ probe, t: round(clock.now()), missed: "busy" });
      return;
    }
    const sample = sampleOnce(probe, measure, clock.now).then((line) => {
      inFlight.delete(sample);
      if (line !== undefined) emit(line);
    });
    inFlight.add(sample);
  };
  const onLate = (/** @type {number} */ dueMs) => emit({ probe, t: round(dueMs), missed: "late" });
  const stopTicks = startFixedRate({ firstMs, intervalMs, clock, onTick, onLate });
  return {
    async stop() {
      stopTicks();
      await Promise.all(inFlight);
    },
  };
}

/** Microseconds are enough, and keep the lines short. @param {number} ms */
function round(ms) {
  return Math.round(ms * 1000) / 1000;
}

// ---------------------------------------------------------------------------------------------------------
// Deadlines
// ---------------------------------------------------------------------------------------------------------

/**
 * Runs `work` for at most `ms`; then it ends with ETIMEDOUT. What `work` registers with `onEnd` is run when it
 * ends, however it ends: that is where sockets are closed.
 *
 * The blame for a time-out must not fall on the target when this process itself was kept from running (a busy
 * or throttled node): a deadline that fires late is extended, once, by as long as the loop was away.
 *
 * @template T
 * @param {number} ms
 * @param {(onEnd: (cleanUp: () => void) => void) => Promise<T>} work
 * @returns {Promise<T>}
 */
export function withDeadline(ms, work) {
  return new Promise((resolve, reject) => {
    /** @type {Array<() => void>} */
    const cleanUps = [];
    let ended = false;
    /** @param {() => void} settle */
    const end = (settle) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      for (const cleanUp of cleanUps) cleanUp();
      settle();
    };
    const giveUp = () =>
      end(() => reject(Object.assign(new Error(`no answer within ${ms} ms`), { code: "ETIMEDOUT" })));
    const due = performance.now() + ms;
    let timer = setTimeout(() => {
      const lateMs = performance.now() - due;
      // An answer that already waits in the kernel is read between the timers and the immediates.
      if (lateMs <= LOOP_LATE) setImmediate(giveUp);
      else timer = setTimeout(() => setImmediate(giveUp), Math.min(lateMs, ms));
    }, ms);
    work((cleanUp) => {
      if (ended) cleanUp();
      else cleanUps.push(cleanUp);
    }).then(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    );
  });
}

// ---------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------

/** @type {ReadonlyMap<unknown, FailureKind>} */
const KIND_OF_CODE = new Map(
  Object.entries(
    /** @type {const} */ ({
      ETIMEDOUT: "timeout",
      ETIMEOUT: "timeout", // c-ares spells it so
      ECONNABORTED: "reset",
      ECONNRESET: "reset",
      EPIPE: "reset",
      ECONNREFUSED: "refused",
      EREFUSED: "refused", // the DNS server answered REFUSED
      EHOSTUNREACH: "unreachable",
      EHOSTDOWN: "unreachable",
      ENETUNREACH: "unreachable",
      ENETDOWN: "unreachable",
      ENOTFOUND: "nxdomain",
      ESERVFAIL: "servfail",
      ENODATA: "no-data",
    }),
  ),
);

/**
 * @param {FailureKind} kind
 * @param {string} [message] cut to MESSAGE_LIMIT
 * @returns {{ ok: false, kind: FailureKind, message?: string }}
 */
export function failed(kind, message) {
  return message ? { ok: false, kind, message: message.slice(0, MESSAGE_LIMIT) } : { ok: false, kind };
}

/** The failure that an error stands for; what is not known is `other`, with its words. @param {unknown} error */
export function failureOf(error) {
  const code = /** @type {{ code?: unknown } | undefined} */ (error)?.code;
  const text = error instanceof Error && error.message !== "" ? error.message : String(code ?? error);
  return failed(KIND_OF_CODE.get(code) ?? "other", text);
}

/** An answer's words without its tags: PHP wraps its errors in HTML. @param {string} body */
export function stripTags(body) {
  return body
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}

// ---------------------------------------------------------------------------------------------------------
// What a good answer is
// ---------------------------------------------------------------------------------------------------------

/**
 * The tokens that one arm writes: a prefix that is new at each start of the agent, and a count.
 *
 * A read is judged by them. "Recently written" is counted back from the last acknowledged write, and every
 * token sent since then counts as well: a write whose answer was lost may have been carried out, and while
 * writes fail the followers go on holding the last one that succeeded, which is a good read.
 */
export class Tokens {
  #sent = 0;
  #acknowledged = 0;

  /** @param {string} prefix letters, digits and '-' only: it travels in a URL and in JSON unescaped */
  constructor(prefix) {
    this.prefix = prefix;
  }

  /** A fresh token, counted as sent. */
  next() {
    this.#sent += 1;
    return `${this.prefix}-${this.#sent}`;
  }

  /** @param {string} token one of this arm's own */
  acknowledge(token) {
    this.#acknowledged = Math.max(this.#acknowledged, this.#countOf(token) ?? 0);
  }

  /** Until a write was acknowledged there may be nothing to read, and no read can be judged. */
  get canJudge() {
    return this.#acknowledged > 0;
  }

  /** @param {string} text */
  isRecent(text) {
    const count = this.#countOf(text);
    return count !== undefined && count <= this.#sent && count > this.#acknowledged - RECENT_WRITES;
  }

  /** @param {string} text @returns {number | undefined} */
  #countOf(text) {
    if (!text.startsWith(`${this.prefix}-`)) return undefined;
    const digits = text.slice(this.prefix.length + 1);
    return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : undefined;
  }
}

/**
 * The JSON object in a body, or undefined: the guestbook prints nothing else when all is well, and a PHP error
 * (with status 200) is no JSON.
 *
 * @param {string} body
 * @returns {Record<string, unknown> | undefined}
 */
function jsonObject(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** @param {number} status @param {string} body @returns {Outcome | undefined} a failure, or undefined for 200 */
function judgeStatus(status, body) {
  return status === 200 ? undefined : failed("http-status", `${status} ${stripTags(body)}`.trim());
}

/** @param {string} body */
function badBody(body) {
  return failed("bad-body", stripTags(body) || "(empty)");
}

/**
 * A good write is status 200 and the guestbook's `{"message": "Updated"}`.
 *
 * @param {number} status
 * @param {string} body
 * @returns {Outcome}
 */
export function judgeWrite(status, body) {
  const failure = judgeStatus(status, body);
  if (failure !== undefined) return failure;
  return jsonObject(body)?.message === "Updated" ? { ok: true } : badBody(body);
}

/**
 * A good read is status 200 and JSON whose `data` is a token written recently.
 *
 * @param {number} status
 * @param {string} body
 * @param {Tokens} tokens
 * @returns {Outcome}
 */
export function judgeRead(status, body, tokens) {
  const failure = judgeStatus(status, body);
  if (failure !== undefined) return failure;
  const data = jsonObject(body)?.data;
  return typeof data === "string" && tokens.isRecent(data) ? { ok: true } : badBody(body);
}

// ---------------------------------------------------------------------------------------------------------
// The probes
// ---------------------------------------------------------------------------------------------------------

/**
 * GET on a connection of its own: an established one would outlive the very faults that are looked for.
 *
 * @param {Endpoint} to
 * @param {string} pathAndQuery
 * @param {number} timeoutMs from the connect to the last byte
 * @param {string} [hostHeader] the address, when left out
 * @returns {Promise<{ status: number, body: string }>}
 */
export function httpGet(to, pathAndQuery, timeoutMs, hostHeader) {
  return withDeadline(
    timeoutMs,
    (onEnd) =>
      new Promise((resolve, reject) => {
        const request = http.get(
          {
            host: to.ip,
            port: to.port,
            path: pathAndQuery,
            agent: false,
            headers: {
              "user-agent": "kube-system-chaos-prober",
              ...(hostHeader === undefined ? {} : { host: hostHeader }),
            },
          },
          (response) => {
            const status = response.statusCode ?? 0;
            /** @type {Buffer[]} */
            const chunks = [];
            let length = 0;
            const done = () => resolve({ status, body: Buffer.concat(chunks).toString("utf8") });
            response.on("data", (/** @type {Buffer} */ chunk) => {
              chunks.push(chunk);
              length += chunk.length;
              if (length >= BODY_LIMIT) done();
            });
            response.on("end", done);
            response.on("error", reject);
          },
        );
        // Stays until the end: destroying the request raises one more error.
        request.on("error", reject);
        onEnd(() => request.destroy());
      }),
  );
}

/**
 * @param {{ ip: string, port: number, path: string }} target
 * @param {number} timeoutMs
 * @returns {Promise<Outcome>}
 */
export async function probeHttp(target, timeoutMs) {
  const { status, body } = await httpGet(target, target.path, timeoutMs);
  return judgeStatus(status, body) ?? { ok: true };
}

/** Takes the members of a list in turn, also when the list changes. */
class Turn {
  #count = 0;

  /** @template T @param {readonly T[]} list @returns {T | undefined} */
  of(list) {
    const member = list[this.#count % list.length];
    this.#count += 1;
    return member;
  }
}

/** One arm of the application (the one that uses DNS, or the one that uses the environment): writes and reads. */
export class AppArm {
  #writes = new Turn();
  #reads = new Turn();
  #prefix;
  #key = "";
  #keys = 0;
  #tokens;

  /** @param {string} prefix of the tokens: unique to this start of this agent, and to the arm */
  constructor(prefix) {
    this.#prefix = prefix;
    this.#tokens = new Tokens(prefix);
  }

  /** @param {AppTarget} target @param {number} timeoutMs @returns {Promise<Outcome>} */
  async write(target, timeoutMs) {
    if (target.key !== this.#key) {
      // What was written under another key says nothing about this one.
      this.#key = target.key;
      this.#keys += 1;
      this.#tokens = new Tokens(`${this.#prefix}-${this.#keys}`);
    }
    const frontend = this.#writes.of(target.frontends);
    if (frontend === undefined) return failed("no-target", "no front-end pod is known");
    const tokens = this.#tokens;
    const token = tokens.next();
    const query = `${target.path}?cmd=set&key=${encodeURIComponent(target.key)}&value=${token}`;
    const outcome = await askFrontEnd(frontend, query, timeoutMs, judgeWrite);
    if ("ok" in outcome && outcome.ok) tokens.acknowledge(token);
    return outcome;
  }

  /** @param {AppTarget} target @param {number} timeoutMs @returns {Promise<Outcome | undefined>} */
  async read(target, timeoutMs) {
    const tokens = this.#tokens;
    if (target.key !== this.#key || !tokens.canJudge) return undefined;
    const frontend = this.#reads.of(target.frontends);
    if (frontend === undefined) return failed("no-target", "no front-end pod is known");
    const query = `${target.path}?cmd=get&key=${encodeURIComponent(target.key)}`;
    return askFrontEnd(frontend, query, timeoutMs, (status, body) => judgeRead(status, body, tokens));
  }
}

/**
 * @param {FrontEnd} frontend
 * @param {string} pathAndQuery
 * @param {number} timeoutMs
 * @param {(status: number, body: string) => Outcome} judge
 * @returns {Promise<Outcome>}
 */
async function askFrontEnd(frontend, pathAndQuery, timeoutMs, judge) {
  /** @type {Outcome} */
  let outcome;
  try {
    const { status, body } = await httpGet(frontend, pathAndQuery, timeoutMs);
    outcome = judge(status, body);
  } catch (error) {
    outcome = failureOf(error);
  }
  return { ...outcome, target: frontend.name };
}

/**
 * Resolves a name as it is, never through the search path: resolve4 asks for exactly the name it is given, with
 * or without its last dot. The resolver is fresh: another one would remember answers, and which server was
 * slow. c-ares looks at its time-outs about once a second, hence the deadline of our own.
 *
 * @param {string} name
 * @param {number} timeoutMs
 * @param {readonly string[]} [servers] the system's, when left out
 * @returns {Promise<Outcome>}
 */
export async function probeDns(name, timeoutMs, servers) {
  const addresses = await withDeadline(timeoutMs, async (onEnd) => {
    const resolver = new dns.promises.Resolver({ timeout: timeoutMs, tries: 1 });
    if (servers !== undefined) resolver.setServers(servers);
    onEnd(() => resolver.cancel());
    return resolver.resolve4(name);
  });
  return addresses.length > 0 ? { ok: true } : failed("no-data", "no address in the answer");
}

/** Looks a name up as applications do: the C library's getaddrinfo, with search path, ndots and retries. */
export class SearchProbe {
  #hanging = false;

  /**
   * getaddrinfo cannot be cancelled, and occupies a thread of libuv's pool until it returns: half a minute or
   * more when no server answers. So there is never more than one of them, and three of the pool's four threads
   * are left for writing the samples, the only other work that uses the pool.
   *
   * @param {string} name
   * @param {number} [deadlineMs]
   * @param {(name: string) => Promise<unknown>} [lookup]
   * @returns {Promise<Outcome>}
   */
  async measure(name, deadlineMs = SEARCH_DEADLINE, lookup = (n) => dns.promises.lookup(n, { family: 4 })) {
    if (this.#hanging) return { missed: "busy" };
    this.#hanging = true;
    await withDeadline(deadlineMs, async () => {
      try {
        await lookup(name);
      } finally {
        this.#hanging = false;
      }
    });
    return { ok: true };
  }
}

/**
 * Connects and closes at once, with a reset: an orderly close would leave a pile of sockets in TIME_WAIT.
 *
 * @param {Endpoint} target
 * @param {number} timeoutMs under a second: the kernel sends a lost SYN again after one, which hides the loss
 * @returns {Promise<Outcome>}
 */
export async function probeTcp(target, timeoutMs) {
  await withDeadline(timeoutMs, async (onEnd) => {
    const socket = await connect(target, onEnd);
    // A reset of a socket that is still connecting would wait for the connection; Node 18.0 has none at all.
    onEnd(() => (socket.resetAndDestroy ? socket.resetAndDestroy() : socket.destroy()));
  });
  return { ok: true };
}

/**
 * @param {Endpoint} to
 * @param {(cleanUp: () => void) => void} onEnd a connection that is not made by then is given up
 * @returns {Promise<net.Socket>}
 */
function connect(to, onEnd) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: to.ip, port: to.port, noDelay: true });
    socket.once("connect", () => resolve(socket));
    socket.on("error", reject); // stays: an error without a listener would end the process
    onEnd(() => socket.connecting && socket.destroy());
  });
}

/**
 * A PING whose answer is awaited, until it is abandoned.
 *
 * @typedef {{ resolve: (line: string) => void, reject: (error: unknown) => void, abandoned: boolean }} Question
 */

/** A connection to Redis. Answers come in the order of the questions. */
class RedisConnection {
  /** @type {Question[]} */
  #waiting = [];
  #received = "";
  #retired = false;
  #broken = false;
  /** @type {unknown} */
  #error;

  /** @param {net.Socket} socket connected @param {(error: unknown) => void} onIdleBreak broken with no question open */
  constructor(socket, onIdleBreak) {
    this.socket = socket;
    socket.on("data", (chunk) => this.#onData(chunk.toString("latin1")));
    socket.on("error", (error) => (this.#error = error));
    socket.on("close", () => {
      this.#broken = true;
      const error = this.#error ?? connectionClosed();
      const waiting = this.#waiting.splice(0);
      for (const question of waiting) question.reject(error);
      if (!this.#retired && waiting.every((question) => question.abandoned)) onIdleBreak(error);
    });
  }

  /** No more questions; closed as soon as the open ones have ended. */
  retire() {
    this.#retired = true;
    if (this.#waiting.every((question) => question.abandoned)) this.socket.destroy();
  }

  /** @returns {{ answer: Promise<string>, abandon: () => void }} */
  ping() {
    /** @type {Question} */
    const question = { resolve: () => {}, reject: () => {}, abandoned: false };
    /** @type {Promise<string>} */
    const answer = new Promise((resolve, reject) => {
      question.resolve = resolve;
      question.reject = reject;
    });
    if (this.#broken) question.reject(this.#error ?? connectionClosed());
    else {
      this.#waiting.push(question);
      this.socket.write("PING\r\n");
    }
    // Its place in the row is kept, so that later answers still meet their questions.
    return { answer, abandon: () => (question.abandoned = true) };
  }

  /** @param {string} text */
  #onData(text) {
    const lines = (this.#received + text).split("\r\n");
    this.#received = (lines.pop() ?? "").slice(0, MESSAGE_LIMIT);
    for (const line of lines) this.#waiting.shift()?.resolve(line);
    if (this.#retired) this.retire();
  }
}

function connectionClosed() {
  return Object.assign(new Error("the connection was closed by the other side"), { code: "ECONNRESET" });
}

/**
 * PING over one lasting connection, as an application with a pool has it. A connection that broke, or on which
 * an answer timed out, is not used again; the failure is a sample, and the next tick makes a new connection
 * (which is then part of that tick's sample). While there is none, each tick tries for itself, so that the
 * return is seen at the probe's rate.
 */
export class LongLivedProbe {
  /** @type {RedisConnection | undefined} */
  #current;
  /** Why the connection broke between two ticks: the next sample reports it. @type {unknown} */
  #brokenBy;
  #address = "";

  /**
   * @param {Endpoint} target
   * @param {number} timeoutMs
   * @param {number} connectTimeoutMs
   * @returns {Promise<Outcome>}
   */
  async measure(target, timeoutMs, connectTimeoutMs) {
    const address = `${target.ip} ${target.port}`;
    if (address !== this.#address) this.close();
    this.#address = address;
    if (this.#brokenBy !== undefined) {
      const error = this.#brokenBy;
      this.#brokenBy = undefined;
      return failureOf(error);
    }
    const line = await withDeadline(timeoutMs, async (onEnd) => {
      const connection = this.#current ?? (await this.#connect(target, address, connectTimeoutMs));
      const { answer, abandon } = connection.ping();
      let answered = false;
      onEnd(() => {
        if (!answered) abandon();
        if (!answered || connection !== this.#current) this.#retire(connection);
      });
      const text = await answer;
      answered = true;
      return text;
    });
    return line === "+PONG" ? { ok: true } : failed("bad-body", line);
  }

  /** Forgets the connection; that is no failure. */
  close() {
    this.#brokenBy = undefined;
    if (this.#current !== undefined) this.#retire(this.#current);
  }

  /** @param {Endpoint} target @param {string} address @param {number} timeoutMs */
  async #connect(target, address, timeoutMs) {
    const socket = await withDeadline(timeoutMs, (onEnd) => connect(target, onEnd));
    const connection = new RedisConnection(socket, (error) => {
      if (this.#current !== connection) return;
      this.#current = undefined;
      this.#brokenBy = error;
    });
    // The first of several that were tried at once stays; the plan may have changed in the meantime, too.
    if (this.#current === undefined && this.#address === address) this.#current = connection;
    return connection;
  }

  /** @param {RedisConnection} connection */
  #retire(connection) {
    if (this.#current === connection) this.#current = undefined;
    connection.retire();
  }
}

// ---------------------------------------------------------------------------------------------------------
// The plan
// ---------------------------------------------------------------------------------------------------------

/**
 * The probes of the agent. A probe's place here is its phase in the interval, whether or not the others are
 * measured: adding or removing one must not move the rest.
 *
 * @type {readonly AgentProbe[]}
 */
export const AGENT_PROBES = [
  "app-write",
  "app-read",
  "app-write-env",
  "app-read-env",
  "http-service",
  "dns-internal",
  "dns-external",
  "dns-search",
  "tcp-service",
  "tcp-pod",
  "tcp-long-lived",
];

/** What is wrong with what was sent, in words for whoever sent it. */
export class BodyError extends Error {}

/** @typedef {(value: unknown, where: string) => void} Check throws a BodyError */

/** @param {string} where @param {string} what @returns {never} */
function refuse(where, what) {
  throw new BodyError(`${where} ${what}`);
}

/**
 * @param {Readonly<Record<string, Check>>} fields
 * @param {readonly string[]} [optional] names of fields that may be left out
 * @returns {Check}
 */
function objectOf(fields, optional = []) {
  return (value, where) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      refuse(where, "must be an object");
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(fields, name)) refuse(`${where}.${name}`, "is not known");
    }
    for (const [name, check] of Object.entries(fields)) {
      const member = /** @type {Record<string, unknown>} */ (value)[name];
      if (member !== undefined) check(member, `${where}.${name}`);
      else if (!optional.includes(name)) refuse(`${where}.${name}`, "is missing");
    }
  };
}

/** @param {number} min @param {number} max @returns {Check} */
function wholeNumber(min, max) {
  return (value, where) => {
    if (!Number.isInteger(value) || Number(value) < min || Number(value) > max)
      refuse(where, `must be a whole number from ${min} to ${max}`);
  };
}

/** @param {RegExp} pattern @param {string} what @returns {Check} */
function text(pattern, what) {
  return (value, where) => {
    if (typeof value !== "string" || !pattern.test(value)) refuse(where, `must be ${what}`);
  };
}

/** @type {Check} */
const ipAddress = (value, where) => {
  if (typeof value !== "string" || net.isIP(value) === 0) refuse(where, "must be an IP address");
};

/** @param {Check} check @returns {Check} */
function listOf(check) {
  return (value, where) => {
    if (!Array.isArray(value) || value.length > 1000) refuse(where, "must be a list of at most 1000 members");
    value.forEach((member, index) => check(member, `${where}[${index}]`));
  };
}

const ENDPOINT = { ip: ipAddress, port: wholeNumber(1, 65535) };
const PLAIN_PATH = text(
  /^\/[A-Za-z0-9._~%/-]{0,500}$/,
  "a path that starts with '/' and has no query or space",
);
const IDENTIFIER = text(/^[A-Za-z0-9._:-]{1,253}$/, "1 to 253 letters, digits, '.', '_', ':' or '-'");
const DNS_NAME = text(
  /^(?=.{1,254}$)[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*\.?$/,
  "a DNS name",
);
const APP = objectOf({
  frontends: listOf(objectOf({ name: IDENTIFIER, ...ENDPOINT })),
  path: PLAIN_PATH,
  key: IDENTIFIER,
});
const NAME = objectOf({ name: DNS_NAME });
const PLAN = objectOf({
  runId: IDENTIFIER,
  interval: wholeNumber(50, 60_000),
  timeout: wholeNumber(100, 30_000),
  tcpTimeout: wholeNumber(50, 999),
  searchInterval: wholeNumber(1000, 60_000),
  probes: objectOf(
    {
      "app-write": APP,
      "app-read": APP,
      "app-write-env": APP,
      "app-read-env": APP,
      "http-service": objectOf({ ...ENDPOINT, path: PLAIN_PATH }),
      "dns-internal": NAME,
      "dns-external": NAME,
      "dns-search": NAME,
      "tcp-service": objectOf(ENDPOINT),
      "tcp-pod": objectOf(ENDPOINT),
      "tcp-long-lived": objectOf(ENDPOINT),
    },
    AGENT_PROBES,
  ),
});

/**
 * @param {unknown} value anything
 * @returns {ProberPlan} the same value
 * @throws {BodyError} with the place and the reason
 */
export function validatePlan(value) {
  PLAN(value, "plan");
  const plan = /** @type {ProberPlan} */ (value);
  for (const arm of /** @type {const} */ (["", "-env"])) {
    const read = plan.probes[`app-read${arm}`];
    // Reads are judged by what this agent wrote: without the writes there would be no sample, silently.
    if (read !== undefined && read.key !== plan.probes[`app-write${arm}`]?.key)
      refuse(`plan.probes.app-read${arm}`, `needs app-write${arm} with the same key`);
  }
  return plan;
}

// ---------------------------------------------------------------------------------------------------------
// What is asked for once
// ---------------------------------------------------------------------------------------------------------

/**
 * A connection to be tried now: the body of POST /check.
 *
 * @typedef {Endpoint & { kind: "tcp" | "http", timeoutMs: number, path?: string, host?: string }} CheckRequest
 */

const CHECK = objectOf(
  {
    kind: text(/^(tcp|http)$/, '"tcp" or "http"'),
    ...ENDPOINT,
    timeoutMs: wholeNumber(50, 10_000),
    path: PLAIN_PATH,
    host: DNS_NAME,
  },
  ["path", "host"],
);
const LOG = objectOf({ text: text(/^[\x20-\x7e]{1,500}$/, "1 to 500 printable ASCII characters") });

/** @param {unknown} value @returns {CheckRequest} @throws {BodyError} */
export function validateCheck(value) {
  CHECK(value, "check");
  return /** @type {CheckRequest} */ (value);
}

/** One line for stdout: a line break in it would make two. @param {unknown} value @throws {BodyError} */
export function validateLog(value) {
  LOG(value, "log");
  return /** @type {{ text: string }} */ (value).text;
}

/**
 * Tries one connection. An HTTP answer is an answer whatever its status: what it should be is not known here.
 *
 * @param {CheckRequest} check
 * @returns {Promise<{ ok: true, ms: number, status?: number, body?: string }
 *   | { ok: false, ms: number, kind: FailureKind, message?: string }>}
 */
export async function runCheck(check) {
  const { kind, timeoutMs, path: pathOnly = "/", host } = check;
  const started = performance.now();
  const ms = () => round(performance.now() - started);
  try {
    if (kind === "tcp") {
      await probeTcp(check, timeoutMs);
      return { ok: true, ms: ms() };
    }
    const { status, body } = await httpGet(check, pathOnly, timeoutMs, host);
    return { ok: true, ms: ms(), status, body: body.slice(0, EXCERPT_LIMIT) };
  } catch (error) {
    return { ...failureOf(error), ms: ms() };
  }
}

// ---------------------------------------------------------------------------------------------------------
// The sample file
// ---------------------------------------------------------------------------------------------------------

/**
 * The append-only file of lines. Lines wait in memory for a moment and are written together, in the order in
 * which they came. Only whole lines count as written: a write that failed half-way is written again over it.
 */
export class SampleFile {
  /** @type {string[]} */
  #waiting = [];
  #lost = 0;
  #failing = false;
  /** Size of what was written, bytes: always at the end of a line. */
  #size;
  #fd;
  /** @type {Promise<void>} */
  #writing = Promise.resolve();

  /** @param {string} file */
  constructor(file) {
    this.#fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    const content = fs.readFileSync(this.#fd);
    // A line that a killed agent left half-written was never handed out: whole lines only.
    this.#size = content.lastIndexOf("\n") + 1;
    fs.ftruncateSync(this.#fd, this.#size);
  }

  /** Lines that were lost because the disk took none for too long. */
  get lost() {
    return this.#lost;
  }

  /** @param {SampleLine} line */
  append(line) {
    if (this.#waiting.length >= WAITING_LIMIT) this.#lost += 1;
    else this.#waiting.push(`${JSON.stringify(line)}\n`);
  }

  /** Writes what waits. When it cannot be written it goes on waiting; that is reported, never thrown. */
  flush() {
    this.#writing = this.#writing.then(async () => {
      if (this.#waiting.length === 0) return;
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        const bytes = Buffer.from(lines.join(""));
        for (let done = 0; done < bytes.length;)
          done += await write(this.#fd, bytes.subarray(done), this.#size + done);
        this.#size += bytes.length;
        this.#failing = false;
      } catch (error) {
        this.#waiting = lines.concat(this.#waiting);
        if (!this.#failing) console.error(`cannot write samples, will go on trying: ${error}`);
        this.#failing = true;
      }
    });
    return this.#writing;
  }

  /**
   * @param {number} offset bytes
   * @returns {Promise<Buffer | undefined>} whole lines, at most CHUNK_LIMIT; undefined beyond the file's end
   */
  async read(offset) {
    if (offset > this.#size) return undefined;
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_LIMIT, this.#size - offset));
    const length = await read(this.#fd, buffer, offset);
    return buffer.subarray(0, buffer.subarray(0, length).lastIndexOf("\n") + 1);
  }

  close() {
    fs.closeSync(this.#fd);
  }
}

/** @param {number} fd @param {Buffer} bytes @param {number} position @returns {Promise<number>} bytes written */
function write(fd, bytes, position) {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, 0, bytes.length, position, (error, count) =>
      error ? reject(error) : resolve(count),
    );
  });
}

/** @param {number} fd @param {Buffer} into @param {number} position @returns {Promise<number>} bytes read */
function read(fd, into, position) {
  return new Promise((resolve, reject) => {
    fs.read(fd, into, 0, into.length, position, (error, count) => (error ? reject(error) : resolve(count)));
  });
}

// ---------------------------------------------------------------------------------------------------------
// The prober
// ---------------------------------------------------------------------------------------------------------

/** Measures what the plan says. A change of targets reaches the next tick; only new intervals start it anew. */
export class Prober {
  /** @type {ProberPlan | undefined} */
  #plan;
  #originMs = 0;
  /** @type {Map<AgentProbe, { stop(): Promise<void> }>} */
  #running = new Map();
  #longLived = new LongLivedProbe();
  #clock;
  #emit;
  #measures;

  /**
   * @param {{ boot: string, clock?: Clock, emit: (line: SampleLine) => void,
   *   dnsServers?: readonly string[] | undefined }} options
   */
  constructor({ boot, clock = systemClock, emit, dnsServers }) {
    this.#clock = clock;
    this.#emit = emit;
    this.#measures = measuresOf(boot, this.#longLived, dnsServers);
  }

  get plan() {
    return this.#plan;
  }

  /** @param {ProberPlan} plan */
  apply(plan) {
    const before = this.#plan;
    if (before?.interval !== plan.interval || before.searchInterval !== plan.searchInterval) {
      this.stop();
      this.#originMs = this.#clock.now();
    }
    this.#plan = plan;
    for (const probe of AGENT_PROBES) {
      if (plan.probes[probe] === undefined) this.#end(probe);
      else if (!this.#running.has(probe)) this.#begin(probe, plan);
    }
    if (plan.probes["tcp-long-lived"] === undefined) this.#longLived.close();
  }

  /** Ends the ticks; samples under way are still written when they end. */
  stop() {
    this.#plan = undefined;
    for (const probe of AGENT_PROBES) this.#end(probe);
    this.#longLived.close();
  }

  /** @param {AgentProbe} probe @param {ProberPlan} plan */
  #begin(probe, plan) {
    const phase = AGENT_PROBES.indexOf(probe) / AGENT_PROBES.length;
    const running = startProbe({
      probe,
      firstMs: this.#originMs + phase * plan.interval,
      intervalMs: probe === "dns-search" ? plan.searchInterval : plan.interval,
      clock: this.#clock,
      limit: () => maxInFlight(this.#plan?.timeout ?? 0, plan.interval),
      // The plan of the moment, not the one that the probe began with.
      measure: async () => this.#plan && this.#measures[probe](this.#plan),
      emit: this.#emit,
    });
    this.#running.set(probe, running);
  }

  /** @param {AgentProbe} probe */
  #end(probe) {
    void this.#running.get(probe)?.stop();
    this.#running.delete(probe);
  }
}

/**
 * How each probe is measured. A probe that the plan leaves out has no target and gives no sample.
 *
 * @param {string} boot
 * @param {LongLivedProbe} longLived
 * @param {readonly string[]} [dnsServers]
 * @returns {Record<AgentProbe, (plan: ProberPlan) => Promise<Outcome | undefined>>}
 */
function measuresOf(boot, longLived, dnsServers) {
  const dnsArm = new AppArm(`${boot}-dns`);
  const envArm = new AppArm(`${boot}-env`);
  const search = new SearchProbe();
  /**
   * @template T
   * @param {T | undefined} target
   * @param {(target: T) => Promise<Outcome | undefined>} measure
   */
  const on = async (target, measure) => (target === undefined ? undefined : measure(target));
  return {
    "app-write": ({ probes, timeout }) => on(probes["app-write"], (to) => dnsArm.write(to, timeout)),
    "app-read": ({ probes, timeout }) => on(probes["app-read"], (to) => dnsArm.read(to, timeout)),
    "app-write-env": ({ probes, timeout }) => on(probes["app-write-env"], (to) => envArm.write(to, timeout)),
    "app-read-env": ({ probes, timeout }) => on(probes["app-read-env"], (to) => envArm.read(to, timeout)),
    "http-service": ({ probes, timeout }) => on(probes["http-service"], (to) => probeHttp(to, timeout)),
    "dns-internal": ({ probes, timeout }) =>
      on(probes["dns-internal"], (to) => probeDns(to.name, timeout, dnsServers)),
    "dns-external": ({ probes, timeout }) =>
      on(probes["dns-external"], (to) => probeDns(to.name, timeout, dnsServers)),
    "dns-search": ({ probes }) => on(probes["dns-search"], (to) => search.measure(to.name)),
    "tcp-service": ({ probes, tcpTimeout }) => on(probes["tcp-service"], (to) => probeTcp(to, tcpTimeout)),
    "tcp-pod": ({ probes, tcpTimeout }) => on(probes["tcp-pod"], (to) => probeTcp(to, tcpTimeout)),
    "tcp-long-lived": ({ probes, timeout, tcpTimeout }) =>
      on(probes["tcp-long-lived"], (to) => longLived.measure(to, timeout, tcpTimeout)),
  };
}

// ---------------------------------------------------------------------------------------------------------
// The HTTP server
// ---------------------------------------------------------------------------------------------------------

/** The plan on disk, so that a restarted container goes on by itself. */
class PlanFile {
  /** @param {string} file */
  constructor(file) {
    this.file = file;
  }

  /** @returns {ProberPlan | undefined} undefined also when it cannot be read: an agent without a plan can be given one */
  load() {
    try {
      return validatePlan(JSON.parse(fs.readFileSync(this.file, "utf8")));
    } catch (error) {
      if (/** @type {{ code?: unknown }} */ (error).code !== "ENOENT")
        console.error(`the kept plan is not used: ${error}`);
      return undefined;
    }
  }

  /** @param {ProberPlan} plan */
  save(plan) {
    fs.writeFileSync(`${this.file}.new`, JSON.stringify(plan));
    fs.renameSync(`${this.file}.new`, this.file);
  }

  remove() {
    fs.rmSync(this.file, { force: true });
  }
}

/** @typedef {{ boot: string, prober: Prober, samples: SampleFile, planFile: PlanFile }} Agent */

/** @typedef {{ status: number, body: string | Buffer, headers?: Record<string, string> }} Answer */

/** @param {unknown} value @returns {Answer} */
function json(value) {
  return { status: 200, body: JSON.stringify(value), headers: { "content-type": "application/json" } };
}

/** @type {Record<string, (agent: Agent, request: http.IncomingMessage, url: URL) => Promise<Answer>>} */
const ROUTES = {
  "GET /healthz": async ({ boot, prober, samples }) =>
    json({ boot, runId: prober.plan?.runId ?? null, lost: samples.lost }),

  "GET /clock": async ({ boot }) => json({ boot, t: performance.now() }),

  "GET /plan": async ({ prober }) =>
    prober.plan === undefined ? { status: 404, body: "there is no plan" } : json(prober.plan),

  "PUT /plan": async ({ boot, prober, planFile }, request) => {
    const plan = validatePlan(await readJson(request, "plan"));
    planFile.save(plan);
    prober.apply(plan);
    return json({ boot, runId: plan.runId });
  },

  "DELETE /plan": async ({ boot, prober, planFile }) => {
    planFile.remove();
    prober.stop();
    return json({ boot });
  },

  "GET /samples": async ({ samples }, _request, url) => {
    const text = url.searchParams.get("offset") ?? "0";
    if (!/^\d{1,15}$/.test(text)) return { status: 400, body: "offset must be a number of bytes" };
    await samples.flush();
    const lines = await samples.read(Number(text));
    if (lines === undefined) return { status: 416, body: `there is nothing at byte ${text} yet` };
    const next = String(Number(text) + lines.length);
    return {
      status: 200,
      body: lines,
      headers: { "content-type": "application/x-ndjson", "x-next-offset": next },
    };
  },

  "POST /check": async (_agent, request) => {
    const check = validateCheck(await readJson(request, "check"));
    if (checksUnderWay >= CHECK_LIMIT)
      return { status: 429, body: `${CHECK_LIMIT} checks are under way already` };
    checksUnderWay += 1;
    try {
      return json(await runCheck(check));
    } finally {
      checksUnderWay -= 1;
    }
  },

  "POST /log": async ({ boot }, request) => {
    console.log(validateLog(await readJson(request, "log")));
    return json({ boot });
  },
};
ROUTES["POST /plan"] = /** @type {(typeof ROUTES)[string]} */ (ROUTES["PUT /plan"]);

let checksUnderWay = 0;

/**
 * @param {http.IncomingMessage} request
 * @param {string} what it should be
 * @returns {Promise<unknown>}
 * @throws {BodyError} when it is no JSON, or too long
 */
async function readJson(request, what) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > REQUEST_LIMIT) throw new BodyError(`${what} must not be longer than ${REQUEST_LIMIT} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw new BodyError(`${what} must be JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {Agent} agent @param {http.IncomingMessage} request @returns {Promise<Answer>} */
async function answer(agent, request) {
  try {
    const url = new URL(request.url ?? "/", "http://agent");
    const route = ROUTES[`${request.method} ${url.pathname}`];
    return route === undefined
      ? { status: 404, body: `${request.method} ${url.pathname} is not known` }
      : await route(agent, request, url);
  } catch (error) {
    if (error instanceof BodyError) return { status: 400, body: error.message };
    return { status: 500, body: String(error) };
  }
}

// ---------------------------------------------------------------------------------------------------------
// The start
// ---------------------------------------------------------------------------------------------------------

function main() {
  const dataDir = process.env.DATA_DIR ?? "/data";
  const dnsServers = process.env.DNS_SERVERS ? process.env.DNS_SERVERS.split(",") : undefined;
  const boot = randomBytes(6).toString("hex");
  const samples = new SampleFile(path.join(dataDir, "samples.ndjson"));
  const planFile = new PlanFile(path.join(dataDir, "plan.json"));
  samples.append({
    boot,
    t: round(performance.now()),
    wall: Date.now(),
    node: process.env.NODE_NAME ?? os.hostname(),
  });
  const prober = new Prober({ boot, emit: (line) => samples.append(line), dnsServers });

  // Whatever a socket throws after its sample has ended must not end the others.
  process.on("uncaughtException", (error) => console.error("uncaught:", error));
  process.on("unhandledRejection", (error) => console.error("unhandled:", error));
  process.on("SIGTERM", () => {
    prober.stop();
    void samples.flush().then(() => process.exit(0));
    setTimeout(() => process.exit(1), 1000); // a disk that hangs
  });

  const server = http.createServer((request, response) => {
    void answer({ boot, prober, samples, planFile }, request).then(({ status, body, headers }) => {
      // One request a connection: a kept one that closes just as the API server's proxy sends the next would fail.
      const common = { "content-type": "text/plain; charset=utf-8", connection: "close" };
      response.writeHead(status, { ...common, ...headers }).end(body);
    });
  });
  // Without its port an agent is of no use; the kubelet starts it again.
  server.on("error", (error) => {
    console.error(`cannot listen: ${error}`);
    process.exit(1);
  });
  server.listen(Number(process.env.PORT ?? 8080), () => {
    const kept = planFile.load();
    if (kept !== undefined) prober.apply(kept);
    setInterval(() => void samples.flush(), FLUSH_EVERY);
    const address = /** @type {net.AddressInfo} */ (server.address());
    console.log(`prober ${boot} listens on port ${address.port}`);
  });
}

/** Whether this file is the program that Node was told to run; a ConfigMap's files are symbolic links. */
function isProgram() {
  const program = process.argv[1];
  if (program === undefined || !import.meta.url.endsWith("/agent.mjs")) return false;
  try {
    return fs.realpathSync(program) === fs.realpathSync(new URL(import.meta.url));
  } catch {
    return false;
  }
}

if (isProgram()) main();
