/** Tables and lists in Markdown whose texts cannot break them. */

/** Text for a cell of a Markdown table: one line, no pipe that would end the cell, no HTML. */
export function cell(text: string): string {
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replace(/\s*[\r\n]+\s*/g, " ")
    .trim();
}

/** A Markdown table. Cells are escaped here; columns named in `right` are aligned to the right. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  const rule = `|${header.map((name) => (right.includes(name) ? "---:" : "---")).join("|")}|`;
  return [line(header), rule, ...rows.map(line)].join("\n");
}

/** A Markdown list, one line for each item. */
export function list(items: readonly string[]): string {
  return items.map((item) => `- ${item.replace(/\s*[\r\n]+\s*/g, " ")}`).join("\n");
}
