/** DNS look-ups on one UDP socket that stays open. */
import { randomInt } from "node:crypto";
import dgram from "node:dgram";
import fs from "node:fs";
import { isIPv6 } from "node:net";
import { withDeadline } from "./deadline.js";
import { dnsQuery, idOfAnswer, judgeAnswer, RECORD } from "./dns-message.js";
import { failed, type Outcome } from "./judge.js";
import type { Family } from "./measure-net.js";

const DNS_PORT = 53;

/** The first name server in a resolv.conf; undefined: it names none. Pure. */
export function nameserverIn(resolvConf: string): string | undefined {
  return /^[ \t]*nameserver[ \t]+(\S+)/m.exec(resolvConf)?.[1];
}

/** The first name server of this pod; undefined: there is none, or the file cannot be read. */
function nameserver(file = "/etc/resolv.conf"): string | undefined {
  try {
    return nameserverIn(fs.readFileSync(file, "utf8"));
  } catch (error) {
    console.error(`cannot read ${file}, so no look-up on an open socket: ${String(error)}`);
    return undefined;
  }
}

/** "10.96.0.10", "127.0.0.1:5353" or "[::1]:53" → address and port. Pure. */
function endpointOf(server: string): { readonly ip: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(server) ?? [];
  return { ip: bracketed ?? plain ?? server, port: port === undefined ? DNS_PORT : Number(port) };
}

interface Waiting {
  readonly resolve: (answer: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** One socket, and the look-ups that wait for their answers on it. */
class DnsSocket {
  readonly #socket: dgram.Socket;
  readonly #waiting = new Map<number, Waiting>();
  /** The ids count up: no two look-ups that wait have the same. */
  #id = randomInt(0x10000);
  #retired = false;

  private constructor(socket: dgram.Socket) {
    this.#socket = socket;
    socket.on("message", (message) => this.#waiting.get(idOfAnswer(message) ?? -1)?.resolve(message));
    // An ICMP error does not tell which look-up it is about. None of those that wait has an answer.
    socket.on("error", (error) => {
      for (const { reject } of this.#waiting.values()) reject(error);
    });
  }

  /**
   * Connected, as resolvers that keep their socket (c-ares, Envoy, nginx) have it: an ICMP "port unreachable" ends a
   * look-up at once.
   */
  static open(server: string): Promise<DnsSocket> {
    const { ip, port } = endpointOf(server);
    return new Promise((resolve, reject) => {
      const socket = dgram.createSocket(isIPv6(ip) ? "udp6" : "udp4");
      const giveUp = (error: Error): void => {
        socket.close();
        reject(error);
      };
      socket.once("error", giveUp);
      socket.once("connect", () => {
        socket.off("error", giveUp);
        resolve(new DnsSocket(socket));
      });
      socket.connect(port, ip);
    });
  }

  /** @param onEnd the look-up does not wait any longer */
  ask(name: string, type: number, onEnd: (cleanUp: () => void) => void): Promise<Buffer> {
    this.#id = (this.#id + 1) % 0x10000;
    const id = this.#id;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      onEnd(() => {
        this.#waiting.delete(id);
        if (this.#retired) this.retire();
      });
      this.#socket.send(dnsQuery(id, name, type), (error) => {
        if (error !== null) reject(error);
      });
    });
  }

  /** No more look-ups. The socket closes after the waiting ones have ended. */
  retire(): void {
    this.#retired = true;
    if (this.#waiting.size === 0) this.#socket.close();
  }
}

/**
 * Look-ups on one UDP socket that stays open, also after a time-out, with the same source port. The kernel's connection
 * tracking has one entry for it, and every packet renews that entry (nf_conntrack_udp_timeout, 30 s). So the entry keeps
 * pointing to the DNS pod that it was made for, also when that pod is gone, until kube-proxy removes it. A fresh look-up
 * has a new port and shows nothing of this. kube-proxy removes the entries of UDP Services that lead to an address which
 * serves no longer, but not while the Service has no endpoint at all (kubernetes/kubernetes
 * pkg/proxy/conntrack/cleanup.go, CleanStaleEntries).
 */
export class SameSocketProbe {
  readonly #server: () => string | undefined;
  #socket: Promise<DnsSocket> | undefined;

  /** @param server the DNS server, as "ADDRESS" or "ADDRESS:PORT"; read when the socket is opened. */
  constructor(server: () => string | undefined = nameserver) {
    this.#server = server;
  }

  async measure(name: string, timeoutMs: number, family: Family = 4): Promise<Outcome> {
    const type = family === 6 ? RECORD.AAAA : RECORD.A;
    const socket = this.#socket ?? this.#open();
    if (socket === undefined) return failed("no-target", "no name server is known");
    const answer = await withDeadline(timeoutMs, async (onEnd) => (await socket).ask(name, type, onEnd));
    return judgeAnswer(answer, type);
  }

  /** Closes the socket. That is not a failure. */
  close(): void {
    // A socket that did not open needs no end: its look-ups have told it.
    this.#socket?.then((socket) => socket.retire()).catch(() => undefined);
    this.#socket = undefined;
  }

  #open(): Promise<DnsSocket> | undefined {
    const server = this.#server();
    if (server === undefined) return undefined;
    const opening = DnsSocket.open(server);
    this.#socket = opening;
    opening.catch(() => {
      // The next look-up tries again.
      if (this.#socket === opening) this.#socket = undefined;
    });
    return opening;
  }
}
