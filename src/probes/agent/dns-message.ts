/** The messages of one DNS look-up (RFC 1035, section 4). Pure. */
import { failed, type Outcome } from "./judge.js";

/** Types of records. */
export const RECORD = { A: 1, AAAA: 28 } as const;

const HEADER_BYTES = 12;
const RECURSION_DESIRED = 0x0100;
const RESPONSE = 0x8000;
const TRUNCATED = 0x0200;
const CLASS_IN = 1;

/** A question for the records of one type of a fully qualified name, with or without the trailing dot. */
export function dnsQuery(id: number, name: string, type: number): Buffer {
  const labels = name
    .replace(/\.$/, "")
    .split(".")
    .flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, "latin1")]);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(RECURSION_DESIRED, 2);
  header.writeUInt16BE(1, 4);
  const end = Buffer.from([0, 0, type, 0, CLASS_IN]);
  return Buffer.concat([header, ...labels, end]);
}

/** The id of an answer; undefined: the message is none. */
export function idOfAnswer(message: Buffer): number | undefined {
  if (message.length < HEADER_BYTES || (message.readUInt16BE(2) & RESPONSE) === 0) return undefined;
  return message.readUInt16BE(0);
}

const KIND_OF_CODE = { 2: "servfail", 3: "nxdomain", 5: "refused" } as const;

/** Judges an answer: it is good if it has a record of the asked type. */
export function judgeAnswer(message: Buffer, type: number): Outcome {
  try {
    const flags = message.readUInt16BE(2);
    const code = flags & 0xf;
    if (code !== 0) {
      const kind = KIND_OF_CODE[code as keyof typeof KIND_OF_CODE] as
        (typeof KIND_OF_CODE)[keyof typeof KIND_OF_CODE] | undefined;
      return failed(kind ?? "other", `the DNS server answered with code ${code}`);
    }
    // A cut answer shows that the server has the name: a client asks again over TCP.
    if ((flags & TRUNCATED) !== 0 || hasRecord(message, type)) return { ok: true };
    return failed("no-data", "no address in the answer");
  } catch (error) {
    if (error instanceof RangeError) return failed("bad-body", "the answer is cut off");
    throw error;
  }
}

/** @throws RangeError when the message ends too early. */
function hasRecord(message: Buffer, type: number): boolean {
  let at = HEADER_BYTES;
  for (let left = message.readUInt16BE(4); left > 0; left -= 1) at = afterName(message, at) + 4;
  for (let left = message.readUInt16BE(6); left > 0; left -= 1) {
    at = afterName(message, at);
    if (message.readUInt16BE(at) === type) return true;
    at += 10 + message.readUInt16BE(at + 8);
  }
  return false;
}

/** The place after a name: its labels, or a pointer to earlier ones. */
function afterName(message: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const length = message.readUInt8(at);
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    at += 1 + length;
  }
}
