/** A word for a POSIX shell; in single quotes unless every character is harmless. Pure. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
