/**
 * The Markdown that `report.md` is made of → elements: paragraphs, lists and tables with bold, code and emphasis, and no HTML. So
 * the page and report.md have one text. Every text becomes a text node, whatever it contains.
 */
import type { ComponentChildren, VNode } from "preact";

/** Code, bold, emphasis, an escaped character, or `&lt;`. */
const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\\([\\|])|&lt;/g;

function inline(text: string): ComponentChildren[] {
  const parts: ComponentChildren[] = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    parts.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    const [, code, bold, emphasis, escaped] = match;
    if (code !== undefined) parts.push(<code>{code.replaceAll("\\|", "|").replaceAll("&lt;", "<")}</code>);
    else if (bold !== undefined) parts.push(<strong>{inline(bold)}</strong>);
    else if (emphasis !== undefined) parts.push(<em>{inline(emphasis)}</em>);
    else parts.push(escaped ?? "<");
  }
  return [...parts, text.slice(from)];
}

/** The cells of a line of a table. An escaped bar ends none. */
function cellsOf(line: string): string[] {
  return [...line.slice(1).matchAll(/((?:[^|\\]|\\.)*)\|/g)].map(([, cell = ""]) => cell.trim());
}

/** A cell up to this length is not broken: a name would break at each hyphen. */
const SHORT = 34;

function Table({ lines, label }: { lines: readonly string[]; label: string }): VNode {
  const [header = "", rule = "", ...rows] = lines;
  const right = cellsOf(rule).map((cell) => cell.endsWith(":"));
  const style = (cell: string, column: number): { class?: string } => {
    const classes = [
      ...(right[column] === true ? ["number"] : []),
      ...(cell.length <= SHORT ? ["short"] : []),
    ];
    return classes.length === 0 ? {} : { class: classes.join(" ") };
  };
  return (
    // Wide tables scroll in their own box, also by the keyboard.
    <div class="scroll" role="region" aria-label={label} tabindex={0}>
      <table>
        <thead>
          <tr>
            {cellsOf(header).map((cell, column) => (
              <th scope="col" {...style(cell, column)}>
                {inline(cell)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>
              {cellsOf(row).map((cell, column) => (
                <td {...style(cell, column)}>{inline(cell)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** One block of a report. `label`: names its table for a screen reader. */
function Block({ text, label }: { text: string; label: string }): VNode {
  const lines = text.split("\n");
  if (lines.every((line) => line.startsWith("|")) && lines.length > 1)
    return <Table lines={lines} label={label} />;
  if (lines.every((line) => line.startsWith("- "))) {
    return (
      <ul>
        {lines.map((line) => (
          <li>{inline(line.slice(2))}</li>
        ))}
      </ul>
    );
  }
  return <p>{inline(text)}</p>;
}

export function Blocks({ blocks, label }: { blocks: readonly string[]; label: string }): VNode {
  const each = blocks.flatMap((block) => block.split("\n\n")).filter((block) => block.trim() !== "");
  return (
    <>
      {each.map((text, index) => (
        <Block text={text} label={`Table ${index + 1}: ${label}`} />
      ))}
    </>
  );
}
