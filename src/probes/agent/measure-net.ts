/** The probes below HTTP: DNS, TCP connects, and one lasting connection to Redis. */
import dns from "node:dns";
import net from "node:net";
import type { Endpoint } from "../prober-plan.js";
import { withDeadline, type OnEnd } from "./deadline.js";
import { failed, failureOf, MESSAGE_LIMIT, type Outcome } from "./judge.js";

/**
 * How long a look-up through the search path may take, ms. Longer than the plan's time-out: five seconds is
 * what the C library gives one server before it asks again, so less would call that first retry an outage.
 */
const SEARCH_DEADLINE_MS = 5000;

/**
 * Resolves a name as it is, never through the search path: resolve4 asks for exactly the name it is given, with
 * or without its last dot. The resolver is fresh: another one would remember answers, and which server was
 * slow. c-ares looks at its time-outs about once a second, hence the deadline of our own.
 *
 * @param servers the system's, when left out
 */
export async function probeDns(
  name: string,
  timeoutMs: number,
  servers?: readonly string[],
): Promise<Outcome> {
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
   */
  async measure(
    name: string,
    deadlineMs = SEARCH_DEADLINE_MS,
    lookup: (name: string) => Promise<unknown> = (n) => dns.promises.lookup(n, { family: 4 }),
  ): Promise<Outcome> {
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
 * @param timeoutMs under a second: the kernel sends a lost SYN again after one, which hides the loss
 */
export async function probeTcp(target: Endpoint, timeoutMs: number): Promise<Outcome> {
  await withDeadline(timeoutMs, async (onEnd) => {
    const socket: net.Socket & { resetAndDestroy?(): void } = await connect(target, onEnd);
    // A reset of a socket that is still connecting would wait for the connection; Node 18.0 has none at all.
    onEnd(() => (socket.resetAndDestroy ? socket.resetAndDestroy() : socket.destroy()));
  });
  return { ok: true };
}

/** @param onEnd a connection that is not made by then is given up */
function connect(to: Endpoint, onEnd: OnEnd): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: to.ip, port: to.port, noDelay: true });
    socket.once("connect", () => resolve(socket));
    socket.on("error", reject); // stays: an error without a listener would end the process
    onEnd(() => socket.connecting && socket.destroy());
  });
}

/** A PING whose answer is awaited, until it is abandoned. */
interface Question {
  resolve: (line: string) => void;
  reject: (error: Error) => void;
  abandoned: boolean;
}

/** A connection to Redis. Answers come in the order of the questions. */
class RedisConnection {
  readonly #waiting: Question[] = [];
  readonly #socket: net.Socket;
  #received = "";
  #retired = false;
  #broken = false;
  #error: Error | undefined;

  /**
   * @param socket connected
   * @param onIdleBreak the connection broke with no question open
   */
  constructor(socket: net.Socket, onIdleBreak: (error: Error) => void) {
    this.#socket = socket;
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
  retire(): void {
    this.#retired = true;
    if (this.#waiting.every((question) => question.abandoned)) this.#socket.destroy();
  }

  ping(): { answer: Promise<string>; abandon: () => void } {
    const question: Question = { resolve: () => {}, reject: () => {}, abandoned: false };
    const answer = new Promise<string>((resolve, reject) => {
      question.resolve = resolve;
      question.reject = reject;
    });
    if (this.#broken) question.reject(this.#error ?? connectionClosed());
    else {
      this.#waiting.push(question);
      this.#socket.write("PING\r\n");
    }
    // Its place in the row is kept, so that later answers still meet their questions.
    return { answer, abandon: () => (question.abandoned = true) };
  }

  #onData(text: string): void {
    const lines = (this.#received + text).split("\r\n");
    this.#received = (lines.pop() ?? "").slice(0, MESSAGE_LIMIT);
    for (const line of lines) this.#waiting.shift()?.resolve(line);
    if (this.#retired) this.retire();
  }
}

function connectionClosed(): Error {
  return Object.assign(new Error("the connection was closed by the other side"), { code: "ECONNRESET" });
}

/**
 * PING over one lasting connection, as an application with a pool has it. A connection that broke, or on which
 * an answer timed out, is not used again; the failure is a sample, and the next tick makes a new connection
 * (which is then part of that tick's sample). While there is none, each tick tries for itself, so that the
 * return is seen at the probe's rate.
 */
export class LongLivedProbe {
  #current: RedisConnection | undefined;
  /** Why the connection broke between two ticks: the next sample reports it. */
  #brokenBy: Error | undefined;
  #address = "";

  async measure(target: Endpoint, timeoutMs: number, connectTimeoutMs: number): Promise<Outcome> {
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
  close(): void {
    this.#brokenBy = undefined;
    if (this.#current !== undefined) this.#retire(this.#current);
  }

  async #connect(target: Endpoint, address: string, timeoutMs: number): Promise<RedisConnection> {
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

  #retire(connection: RedisConnection): void {
    if (this.#current === connection) this.#current = undefined;
    connection.retire();
  }
}
