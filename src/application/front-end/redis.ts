/** One command to Redis, on a connection of its own. */
import { lookup } from "node:dns/promises";
import net from "node:net";

/** As the sample's client has it: Predis connects for 5 s; PHP waits 60 s for an answer (default_socket_timeout). */
const CONNECT_MS = 5_000;
const ANSWER_MS = 60_000;

/**
 * Sends a command and returns its reply: text, or null for nothing. The name is looked up each time, by the system's
 * resolver, as PHP does it.
 *
 * @throws Error when the name has no address, the connection fails, or Redis refuses the command.
 */
export async function ask(host: string, port: number, command: readonly string[]): Promise<string | null> {
  if (host === "") throw new Error("the environment has no address of the database");
  const { address } = await lookup(host);
  const socket = net.connect({ host: address, port, noDelay: true });
  try {
    await connected(socket);
    const reply = new Reply();
    socket.setTimeout(ANSWER_MS);
    socket.write(encoded(command));
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      const value = reply.add(chunk);
      if (value !== undefined) return value;
    }
    throw new Error("Error while reading line from the server.");
  } finally {
    socket.destroy();
  }
}

function connected(socket: net.Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.setTimeout(CONNECT_MS);
    socket.on("timeout", () => socket.destroy(new Error("Connection timed out")));
    socket.once("connect", resolve);
    socket.on("error", reject); // never removed: an error without a listener would end the process
  });
}

/** The command as an array of bulk strings (the Redis protocol, RESP2). Pure. */
export function encoded(command: readonly string[]): string {
  return `*${command.length}\r\n${command.map((each) => `$${Buffer.byteLength(each)}\r\n${each}\r\n`).join("")}`;
}

/** Collects the bytes of one reply: a status, an error, a bulk string, or nothing. */
export class Reply {
  #bytes = Buffer.alloc(0);

  /** @returns the reply once it is whole. @throws Error with the text of an error reply, or for another reply. */
  add(chunk: Buffer): string | null | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const end = this.#bytes.indexOf("\r\n");
    if (end < 0) return undefined;
    const line = this.#bytes.toString("utf8", 1, end);
    switch (this.#bytes.toString("latin1", 0, 1)) {
      case "+":
        return line;
      case "-":
        throw new Error(line);
      case "$": {
        const length = Number(line);
        if (length < 0) return null;
        const start = end + 2;
        return this.#bytes.length < start + length + 2
          ? undefined
          : this.#bytes.toString("utf8", start, start + length);
      }
      default:
        throw new Error(`Unknown response prefix: ${line}`);
    }
  }
}
