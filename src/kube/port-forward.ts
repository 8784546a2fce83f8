/**
 * HTTP to a port of a pod without its IP: the API server asks the node's kubelet, and the container runtime connects
 * inside the pod's network. A WebSocket with the subprotocol `v4.channel.k8s.io` carries one TCP connection: the first
 * byte of each message is its channel, 0 for data and 1 for errors, and each channel starts with the port's two bytes
 * (kubernetes/kubernetes pkg/kubelet/server/portforward/websocket.go).
 */
import { randomBytes } from "node:crypto";
import { anySignal } from "../common/signals.js";
import http from "node:http";
import { Duplex } from "node:stream";
import { readBody } from "./exchange.js";
import type { PodPort } from "./pod-proxy.js";
import { ApiError, ApiUnreachableError } from "./transport-types.js";
import type { ApiRequest, ApiResponse, Transport } from "./transport-types.js";

const PROTOCOL = "v4.channel.k8s.io";
const DATA = 0;
const ERROR = 1;
const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Sends one request over a port-forward; its path and query are those inside the pod. Rejects with ApiError when the API
 * server refuses (403, 404), with ApiUnreachableError when the pod does not answer. Not retried.
 */
export async function forwardedRequest(
  transport: Transport,
  { namespace, pod, port }: PodPort,
  request: ApiRequest,
): Promise<ApiResponse> {
  const { method, body, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = request;
  const limit = AbortSignal.timeout(timeoutMs);
  const ends = anySignal(signal, limit);
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward`;
  let socket: Duplex | undefined;
  try {
    socket = await transport.webSocket(
      { method: "GET", path, query: { ports: port }, timeoutMs, signal: ends },
      PROTOCOL,
    );
    const connection = new ForwardedPort(socket);
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const outgoing = http.request({
        createConnection: () => connection,
        method,
        path: request.path,
        signal: ends,
        headers: {
          Host: `${pod}:${port}`,
          Connection: "close",
          ...(text === undefined
            ? {}
            : { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(text)) }),
        },
      });
      outgoing.on("error", reject);
      outgoing.once("response", resolve);
      outgoing.end(text);
    });
    return { status: response.statusCode ?? 0, headers: response.headers, body: await readBody(response) };
  } catch (error) {
    if (error instanceof ApiError || error instanceof ApiUnreachableError) throw error;
    const timedOut = limit.aborted && signal?.aborted !== true;
    throw new ApiUnreachableError(
      { method, path },
      {
        cause: timedOut ? new Error(`no response within ${timeoutMs} ms`) : error,
        timedOut,
        aborted: signal?.aborted === true,
      },
    );
  } finally {
    socket?.destroy();
  }
}

/** The TCP connection inside a WebSocket. An error that the kubelet reports destroys it. */
class ForwardedPort extends Duplex {
  readonly #socket: Duplex;
  #received = Buffer.alloc(0);
  /** Channels whose two bytes with the port have arrived. */
  readonly #opened = new Set<number>();

  constructor(socket: Duplex) {
    super();
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.push(null));
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(frameOf(Buffer.concat([Buffer.from([DATA]), chunk])), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #onData(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (
      let message = readFrame(this.#received);
      message !== undefined;
      message = readFrame(this.#received)
    ) {
      this.#received = this.#received.subarray(message.size);
      if (message.opcode === CLOSE) this.push(null);
      else if (message.opcode === BINARY) this.#onMessage(message.payload);
    }
  }

  #onMessage(payload: Buffer): void {
    const channel = payload[0] ?? DATA;
    const first = !this.#opened.has(channel);
    this.#opened.add(channel);
    const content = payload.subarray(first ? 3 : 1);
    if (content.length === 0) return;
    if (channel === ERROR) this.destroy(new Error(content.toString("utf8").trim()));
    else if (!this.push(content)) this.#socket.pause();
  }
}

const BINARY = 2;
const CLOSE = 8;

/** A final binary message, masked as a client's must be (RFC 6455, 5.3). */
function frameOf(payload: Buffer): Buffer {
  const mask = randomBytes(4);
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | BINARY;
  if (length < 126) head[1] = 0x80 | length;
  else if (length < 65_536) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, mask, payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))]);
}

/** The first message of the bytes, and its size in them; undefined: it is not complete. Servers do not mask. */
function readFrame(
  bytes: Buffer,
): { readonly opcode: number; readonly payload: Buffer; readonly size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] ?? 0) & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return undefined;
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const size = start + length;
  if (bytes.length < size) return undefined;
  return { opcode: (bytes[0] ?? 0) & 0x0f, payload: bytes.subarray(start, size), size };
}
