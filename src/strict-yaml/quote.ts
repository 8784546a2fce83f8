/**
 * Characters that control a terminal or hide text: control and format characters, separators, lone surrogates and
 * invisible characters.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;
const MAX_LENGTH = 60;

/** Untrusted text in double quotes, on one line, cut to a readable length, without terminal control characters. */
export function quote(text: string): string {
  // Cut first: a value can be as long as the file.
  return `"${escapeInvisible(cutText(text, MAX_LENGTH).replace(/["\\]/g, "\\$&"))}"`;
}

/** Text with every invisible character written as `\u{…}`. */
export function escapeInvisible(text: string): string {
  return text.replace(INVISIBLE, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** At most `maxLength` UTF-16 units, with `…` at the end of cut text. Never splits a surrogate pair. */
export function cutText(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const cut = text.slice(0, maxLength - 1);
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}
