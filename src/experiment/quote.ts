/** Characters that a terminal obeys or that hide what is written: control, format, separators, lone surrogates. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const MAX_LENGTH = 60;

/** Foreign text in double quotes, on one line, cut to a readable length, with nothing a terminal would obey. */
export function quote(text: string): string {
  // Cut first: a value can be as long as the file.
  const cut = text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text;
  return `"${escapeInvisible(cut.replace(/["\\]/g, "\\$&"))}"`;
}

/** Text with every invisible character written as `\u{…}`. */
export function escapeInvisible(text: string): string {
  return text.replace(INVISIBLE, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}
