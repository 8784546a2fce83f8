/**
 * Characters that a terminal obeys or that hide what is written: control, format, separators, lone surrogates,
 * and those that are drawn as nothing.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;
const MAX_LENGTH = 60;

/** Foreign text in double quotes, on one line, cut to a readable length, with nothing a terminal would obey. */
export function quote(text: string): string {
  // Cut first: a value can be as long as the file.
  return `"${escapeInvisible(cutText(text, MAX_LENGTH).replace(/["\\]/g, "\\$&"))}"`;
}

/** Text with every invisible character written as `\u{…}`. */
export function escapeInvisible(text: string): string {
  return text.replace(INVISIBLE, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** At most so many UTF-16 units, the last of them `…` when there was more; no character is cut in two. */
export function cutText(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const cut = text.slice(0, maxLength - 1);
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}
