/** Local servers (127.0.0.1, free ports) and a clock for the tests of the probes. */
import { spawn } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import type { Timers } from "../../src/probes/agent/schedule.js";
import type { Endpoint } from "../../src/probes/prober-plan.js";

/** A resource that is closed at the end of the test. */
export interface Closing {
  close(): void;
}

/** A clock that only a test moves; timers fire in order, at their exact time. */
export class FakeClock implements Timers {
  #now: number;
  #timers: Array<{ at: number; run: () => void }> = [];

  constructor(startMs = 1000) {
    this.#now = startMs;
  }
  now = (): number => this.#now;
  setTimeout = (run: () => void, ms: number): unknown => {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return timer;
  };
  clearTimeout = (timer: unknown): void => {
    this.#timers = this.#timers.filter((other) => other !== timer);
  };

  /** Moves the clock; each timer fires when it is due. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      this.clearTimeout(next);
      next.run();
      await settled();
    }
    this.#now = end;
  }

  /** Moves the clock while nothing can run; then everything that is due fires. */
  async stall(ms: number): Promise<void> {
    this.#now += ms;
    await this.advance(0);
  }
}

/** Waits until promises that need no I/O have run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Waits until `condition` is true, at most 20 s. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  everyMs = 10,
): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`timed out after 20 s waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

export class LocalHttp implements Closing {
  readonly requests: URL[] = [];
  /** Distinct client ports: one for each connection. */
  readonly connections = new Set<number>();
  readonly #server;
  constructor(
    readonly endpoint: Endpoint,
    server: http.Server,
  ) {
    this.#server = server;
  }
  /** Open connections. */
  open(): Promise<number> {
    return new Promise((resolve) => this.#server.getConnections((_error, count) => resolve(count)));
  }
  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  static async start(
    answer: (url: URL, response: http.ServerResponse) => void,
    ip = "127.0.0.1",
  ): Promise<LocalHttp> {
    const server = http.createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://server");
      local.requests.push(url);
      local.connections.add(request.socket.remotePort ?? 0);
      answer(url, response);
    });
    server.listen(0, ip);
    await once(server, "listening");
    const local = new LocalHttp({ ...endpointOf(server), ip }, server);
    return local;
  }
}

/** A guestbook that keeps its data in a Map. A `fault` answers instead. */
export class Guestbook implements Closing {
  /** The database's one value: the public front end has the same key for everyone, whatever a request asks for. */
  value = "";
  fault: ((url: URL, response: http.ServerResponse) => void) | undefined;
  #http!: LocalHttp;

  static async start(ip?: string): Promise<Guestbook> {
    const guestbook = new Guestbook();
    guestbook.#http = await LocalHttp.start((url, response) => {
      if (guestbook.fault !== undefined) guestbook.fault(url, response);
      else guestbook.#answer(url, response);
    }, ip);
    return guestbook;
  }
  get endpoint(): Endpoint {
    return this.#http.endpoint;
  }
  get http(): LocalHttp {
    return this.#http;
  }
  close(): void {
    this.#http.close();
  }
  #answer(url: URL, response: http.ServerResponse): void {
    if (url.searchParams.get("cmd") === "set") {
      this.value = url.searchParams.get("value") ?? "";
      response.end('{"message": "Updated"}');
    } else response.end(`{"data": "${this.value}"}`);
  }
}

/** What the guestbook's PHP prints, with status 200, when it cannot reach Redis. */
export const PHP_ERROR =
  "<br />\n<b>Fatal error</b>:  Uncaught Predis\\Connection\\ConnectionException: " +
  "php_network_getaddresses: getaddrinfo failed <b>/var/www/html/guestbook.php</b> on line <b>1</b><br />";

export const DNS_CODES = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };

/** A DNS server with a fixed answer to each query: an address, an empty answer, a code, or none. */
export class LocalDns implements Closing {
  readonly questions: string[] = [];
  /** The type of each question: 1 for A, 28 for AAAA. */
  readonly types: number[] = [];
  answer: "address" | "empty" | "silence" | "cut" | keyof typeof DNS_CODES = "address";
  /** The source port of each question: one for each socket of the client. */
  readonly ports: number[] = [];
  /** Answers that are not sent at once, while `late` is true. */
  readonly kept: (() => void)[] = [];
  late = false;
  readonly #socket = dgram.createSocket("udp4");

  static async start(port = 0): Promise<LocalDns> {
    const local = new LocalDns();
    local.#socket.on("message", (query, from) => {
      local.questions.push(nameOf(query));
      local.types.push(query.readUInt16BE(12 + nameOf(query).length + 2));
      local.ports.push(from.port);
      const reply = local.#reply(query);
      if (reply === undefined) return;
      const send = (): void => local.#socket.send(reply, from.port, from.address);
      if (local.late) local.kept.push(send);
      else send();
    });
    local.#socket.bind(port, "127.0.0.1");
    await once(local.#socket, "listening");
    return local;
  }
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }
  close(): void {
    this.#socket.close();
  }

  #reply(query: Buffer): Buffer | undefined {
    if (this.answer === "silence") return undefined;
    const reply = Buffer.from(query);
    const code = Object.hasOwn(DNS_CODES, this.answer)
      ? DNS_CODES[this.answer as keyof typeof DNS_CODES]
      : DNS_CODES.NOERROR;
    reply[2] = 0x81;
    reply[3] = 0x80 | code;
    if (this.answer === "cut") {
      reply.writeUInt16BE(1, 6);
      return reply;
    }
    if (this.answer !== "address") return reply;
    reply.writeUInt16BE(1, 6);
    // The name by pointer, type A, class IN, 30 s, four bytes: 10.0.0.1.
    return Buffer.concat([reply, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 0, 0, 1])]);
  }
}

function nameOf(query: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; query[at];) {
    const length = query[at] ?? 0;
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return labels.join(".");
}

/** A Redis that only answers PING. */
export class LocalRedis implements Closing {
  readonly sockets: net.Socket[] = [];
  /** What is done with each PING. */
  onPing: (socket: net.Socket) => void = (socket) => socket.write("+PONG\r\n");
  #server!: net.Server;

  static async start(): Promise<LocalRedis> {
    const redis = new LocalRedis();
    redis.#server = net.createServer((socket) => {
      redis.sockets.push(socket);
      socket.on("error", () => undefined);
      socket.on("data", (data) => {
        for (const line of data.toString().split("\r\n")) if (line === "PING") redis.onPing(socket);
      });
    });
    redis.#server.listen(0, "127.0.0.1");
    await once(redis.#server, "listening");
    return redis;
  }
  get endpoint(): Endpoint {
    return endpointOf(this.#server);
  }
  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

/** An address without a listener: connections are refused. */
export async function closedPort(): Promise<Endpoint> {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const endpoint = endpointOf(server);
  server.close();
  await once(server, "close");
  return endpoint;
}

/**
 * An address where the kernel drops SYNs, like a firewall: the listening process is stopped and its short queue is
 * full. On the loopback there is no other way.
 */
export async function silentPort(): Promise<{ endpoint: Endpoint } & Closing> {
  const program = `const s = require("net").createServer().listen({ host: "127.0.0.1", port: 0, backlog: 1 },
    () => console.log(s.address().port));`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const [chunk] = (await once(child.stdout, "data")) as [Buffer];
  const endpoint = { ip: "127.0.0.1", port: Number(chunk.toString()) };
  child.kill("SIGSTOP");
  const fill = Array.from({ length: 4 }, () => net.connect(endpoint.port, endpoint.ip));
  for (const socket of fill) socket.on("error", () => undefined);
  await until("a full queue", () => fill.filter((socket) => !socket.connecting).length >= 2);
  return {
    endpoint,
    close() {
      for (const socket of fill) socket.destroy();
      child.kill("SIGKILL");
    },
  };
}

function endpointOf(server: net.Server): Endpoint {
  return { ip: "127.0.0.1", port: (server.address() as AddressInfo).port };
}
