/** The probes below HTTP: DNS, TCP connects and one long-lived connection to Redis. */
import dns from "node:dns";
import net from "node:net";
import type { Endpoint } from "../prober-plan.js";
import { timedOut, withDeadline, type OnEnd } from "./deadline.js";
import { failed, failureOf, MESSAGE_LIMIT, type Outcome } from "./judge.js";
import { systemTimers } from "./schedule.js";

/**
 * Limit for a look-up through the search path, ms. It exceeds the plan's time-out because the C library waits 5 s for
 * a server before it retries; a shorter limit would count that first retry as an outage.
 */
const SEARCH_DEADLINE_MS = 5000;

/** How much of an answer over TCP is kept, characters. */
const EXCHANGE_LIMIT = 64 * 1024;

/** The kernel resends a lost SYN after this time (RFC 6298, 2.1), ms. */
const SYN_RESENT_MS = 1000;

/** The address family of a look-up: of A records, or of AAAA records where Services have only IPv6 addresses. */
export type Family = 4 | 6;

/**
 * Resolves a name without the search path: resolve4 and resolve6 query exactly the given name, with or without the trailing dot.
 * A new resolver each time: a kept one remembers which server was slow. c-ares checks its time-outs only about once
 * a second, so this function has its own deadline.
 *
 * @param servers default: the system's
 */
export async function probeDns(
  name: string,
  timeoutMs: number,
  servers?: readonly string[],
  family: Family = 4,
): Promise<Outcome> {
  const addresses = await resolveName(name, timeoutMs, servers, family);
  return addresses.length > 0 ? { ok: true } : failed("no-data", "no address in the answer");
}

/** The addresses of a name: see {@link probeDns}. Rejects with the resolver's error, or with ETIMEDOUT. */
export async function resolveName(
  name: string,
  timeoutMs: number,
  servers?: readonly string[],
  family: Family = 4,
): Promise<string[]> {
  return await withDeadline(timeoutMs, async (onEnd) => {
    const resolver = new dns.promises.Resolver({ timeout: timeoutMs, tries: 1 });
    if (servers !== undefined) resolver.setServers(servers);
    onEnd(() => resolver.cancel());
    return family === 6 ? resolver.resolve6(name) : resolver.resolve4(name);
  });
}

/** getaddrinfo for one family: for both it would wait for two answers. */
export function lookupBy(family: Family = 4): (name: string) => Promise<unknown> {
  return async (name) => await dns.promises.lookup(name, { family });
}

/** Resolves a name as applications do: with the C library's getaddrinfo, search path, ndots and retries. */
export class SearchProbe {
  #hanging = false;

  /**
   * getaddrinfo cannot be cancelled and occupies a thread of libuv's pool until it returns: 30 s or more if no server
   * answers. So only one runs at a time, and three of the pool's four threads stay free for writing the samples, the
   * only other work in the pool.
   */
  async measure(
    name: string,
    deadlineMs = SEARCH_DEADLINE_MS,
    lookup: (name: string) => Promise<unknown> = lookupBy(),
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
 * Connects and closes immediately with a reset: an orderly close would leave many sockets in TIME_WAIT.
 *
 * @param timeoutMs under 1 s: the kernel resends a lost SYN after 1 s, which hides the loss. @param now ms.
 */
export async function probeTcp(
  target: Endpoint,
  timeoutMs: number,
  now: () => number = systemTimers.now,
): Promise<{ readonly ok: true }> {
  await withDeadline(timeoutMs, async (onEnd) => {
    const socket: net.Socket & { resetAndDestroy?(): void } = await connect(target, onEnd, now);
    // Only after connecting: resetAndDestroy waits for the connection. Node 18.0 does not have it.
    onEnd(() => (socket.resetAndDestroy ? socket.resetAndDestroy() : socket.destroy()));
  });
  return { ok: true };
}

/**
 * Connects, sends a text and reads until there is enough, or the peer closes the connection.
 *
 * @param options `timeoutMs`: from the connect to the last byte; `connectMs`: of the connect, as for {@link probeTcp}.
 * @returns the end of what came
 */
export async function exchangeTcp(
  target: Endpoint,
  {
    send,
    enough,
    timeoutMs,
    connectMs,
  }: {
    readonly send?: string;
    readonly enough: (received: string) => boolean;
    readonly timeoutMs: number;
    readonly connectMs: number;
  },
): Promise<string> {
  return await withDeadline(timeoutMs, async (onEnd) => {
    const socket = await withDeadline(connectMs, async (onConnected) => await connect(target, onConnected));
    onEnd(() => socket.destroy());
    return await new Promise<string>((resolve, reject) => {
      let received = "";
      socket.on("error", reject);
      socket.on("close", () => resolve(received));
      socket.on("data", (chunk: Buffer) => {
        received = (received + chunk.toString("utf8")).slice(-EXCHANGE_LIMIT);
        if (enough(received)) resolve(received);
      });
      if (send !== undefined) socket.write(send, () => enough("") && resolve(""));
    });
  });
}

/**
 * A deadline that fires late leaves time for an answer to a resent SYN. Such a connection is a time-out. It is not one of a
 * late prober: that answer would have been read before, unless the prober stalled, and samples around a stall are left out.
 *
 * @param onEnd a connection that is not established by then is cancelled
 */
function connect(to: Endpoint, onEnd: OnEnd, now: () => number = systemTimers.now): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const startedMs = now();
    const socket = net.connect({ host: to.ip, port: to.port, noDelay: true });
    socket.once("connect", () => {
      if (now() - startedMs < SYN_RESENT_MS) return resolve(socket);
      socket.destroy();
      reject(timedOut(`no answer within ${SYN_RESENT_MS} ms, after which the kernel resends the SYN`));
    });
    socket.on("error", reject); // never removed: an error without a listener would end the process
    onEnd(() => socket.connecting && socket.destroy());
  });
}

/** A PING that waits for its reply until it is abandoned. */
interface Ping {
  resolve: (line: string) => void;
  reject: (error: Error) => void;
  abandoned: boolean;
}

/** A connection to Redis. Replies come in the order of the PINGs. */
class RedisConnection {
  readonly #waiting: Ping[] = [];
  readonly #socket: net.Socket;
  #received = "";
  #retired = false;
  #broken = false;
  #error: Error | undefined;

  /**
   * @param socket connected
   * @param onIdleBreak called if the connection breaks while no PING waits
   */
  constructor(socket: net.Socket, onIdleBreak: (error: Error) => void) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#onData(chunk.toString("latin1")));
    socket.on("error", (error) => (this.#error = error));
    socket.on("close", () => {
      this.#broken = true;
      const error = this.#error ?? connectionClosed();
      const waiting = this.#waiting.splice(0);
      for (const ping of waiting) ping.reject(error);
      if (!this.#retired && waiting.every((ping) => ping.abandoned)) onIdleBreak(error);
    });
  }

  /** No more PINGs. The connection closes after the waiting ones have ended. */
  retire(): void {
    this.#retired = true;
    if (this.#waiting.every((ping) => ping.abandoned)) this.#socket.destroy();
  }

  ping(): { answer: Promise<string>; abandon: () => void } {
    const ping: Ping = { resolve: () => {}, reject: () => {}, abandoned: false };
    const answer = new Promise<string>((resolve, reject) => {
      ping.resolve = resolve;
      ping.reject = reject;
    });
    if (this.#broken) ping.reject(this.#error ?? connectionClosed());
    else {
      this.#waiting.push(ping);
      this.#socket.write("PING\r\n");
    }
    // An abandoned PING keeps its place in the queue, so that later replies match their PINGs.
    return { answer, abandon: () => (ping.abandoned = true) };
  }

  #onData(text: string): void {
    const lines = (this.#received + text).split("\r\n");
    this.#received = (lines.pop() ?? "").slice(0, MESSAGE_LIMIT);
    for (const line of lines) this.#waiting.shift()?.resolve(line);
    if (this.#retired) this.retire();
  }
}

function connectionClosed(): Error {
  return Object.assign(new Error("the peer closed the connection"), { code: "ECONNRESET" });
}

/**
 * PING over one long-lived connection, like an application with a connection pool. A connection that broke, or on which
 * a reply timed out, is not used again: the failure is a sample, and the next tick opens a new connection as part of its
 * sample. While there is no connection, each tick tries its own, so that recovery is seen at the probe's rate.
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

  /** Drops the connection. That is not a failure. */
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
    // Of parallel attempts the first one is kept, unless the plan has a new address by now.
    if (this.#current === undefined && this.#address === address) this.#current = connection;
    return connection;
  }

  #retire(connection: RedisConnection): void {
    if (this.#current === connection) this.#current = undefined;
    connection.retire();
  }
}
