/**
 * Turns a file's bytes into text that is safe to parse: bounded, UTF-8, without byte order mark and control characters.
 */

/** Maximum size: these files have a few dozen lines. */
export const MAX_FILE_BYTES = 256 * 1024;

/** A problem and its position: an offset in UTF-16 units from the start of `text`. */
export interface TextProblem {
  readonly offset: number;
  readonly message: string;
}

/** @param what the file type with its article, for the message. */
export function tooLarge(what: string): string {
  return `the file is larger than ${MAX_FILE_BYTES / 1024} KiB: not ${what} file`;
}

/** Forbidden by YAML: control characters except tab, line feed and carriage return; lone surrogates. */
// eslint-disable-next-line no-control-regex -- finding them is the point
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufffe\uffff\p{Cs}]/u;

/**
 * Characters that YAML allows and that make a line look different from its content: a carriage return within a line (a
 * terminal overwrites the line), line breaks that editors do not show, and changes of the text direction. Users review an
 * untrusted file by eye before they run it.
 */
const MISLEADING = /\r(?!\n)|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/**
 * The text of the bytes, or the first byte that is not UTF-8.
 *
 * @returns `text` contains everything before the problem, so that its offset has a line and a column.
 */
export function decodeUtf8(bytes: Uint8Array): { text: string; problem?: TextProblem } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (startsWith(buffer, [0xff, 0xfe]) || startsWith(buffer, [0xfe, 0xff])) {
    return { text: "", problem: { offset: 0, message: "the file is UTF-16: save it as UTF-8" } };
  }
  const text = buffer.toString("utf8");
  const again = Buffer.from(text, "utf8");
  if (again.equals(buffer)) return { text };
  // Decoding replaces bad bytes with U+FFFD, so the first difference is the first bad byte, or one or two bytes after
  // it if the bad byte equals the first byte of U+FFFD.
  let at = 0;
  while (at < buffer.length && buffer[at] === again[at]) at++;
  while (at > 0 && ((again[at] ?? 0) & 0xc0) === 0x80) at--;
  const before = buffer.toString("utf8", 0, at);
  const byte = (buffer[at] ?? 0).toString(16).padStart(2, "0");
  return {
    text: before,
    problem: { offset: before.length, message: `byte 0x${byte} is not UTF-8: save the file as UTF-8` },
  };
}

/**
 * The first reason not to parse a text.
 *
 * @param what the file type with its article, for the message.
 */
export function checkText(text: string, what: string): TextProblem | undefined {
  // A text has at least as many bytes as UTF-16 units.
  if (text.length > MAX_FILE_BYTES) return { offset: 0, message: tooLarge(what) };
  if (text.startsWith("\ufeff")) {
    return { offset: 0, message: "the file starts with a byte order mark: save it as UTF-8 without BOM" };
  }
  return checkCharacters(text);
}

/** The first forbidden character of a text, or of a value (an escape may produce one). */
export function checkCharacters(text: string): TextProblem | undefined {
  const forbidden = FORBIDDEN.exec(text);
  if (forbidden !== null) {
    return {
      offset: forbidden.index,
      message: `character ${codeOf(forbidden[0])} is not allowed in a YAML file`,
    };
  }
  const misleading = MISLEADING.exec(text);
  if (misleading !== null) {
    return {
      offset: misleading.index,
      message: `character ${codeOf(misleading[0])} is not allowed: it makes the line look different from its content`,
    };
  }
  return undefined;
}

function codeOf(character: string): string {
  return `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

function startsWith(buffer: Buffer, prefix: readonly number[]): boolean {
  return prefix.every((byte, index) => buffer[index] === byte);
}
