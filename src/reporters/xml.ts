/** XML with nothing but elements, attributes and text. Pure. */

export interface Element {
  readonly name: string;
  readonly attributes?: Readonly<Record<string, string | number | undefined>>;
  readonly content?: string | readonly Element[];
}

/** All that XML 1.0 does not allow, even as a reference (W3C, production Char); a lone half of a pair, too. */
const NOT_XML = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;

const REFERENCES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  // Also ends no CDATA section (]]>), which text must not contain.
  ">": "&gt;",
  '"': "&quot;",
};

/** Text of an element. */
function text(value: string): string {
  return value
    .replace(NOT_XML, "\u{FFFD}")
    .replace(/[&<>]/g, (each) => REFERENCES[each] ?? each)
    .replaceAll("\r", "&#13;");
}

/** Value of an attribute: a parser would turn its line ends and tabs into spaces. */
function attribute(value: string): string {
  return value
    .replace(NOT_XML, "\u{FFFD}")
    .replace(/[&<>"]/g, (each) => REFERENCES[each] ?? each)
    .replace(/[\t\n\r]/g, (each) => `&#${each.charCodeAt(0)};`);
}

function lines({ name, attributes = {}, content = "" }: Element, indent: string): string[] {
  const pairs = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${attribute(String(value))}"`)
    .join("");
  if (content.length === 0) return [`${indent}<${name}${pairs}/>`];
  if (typeof content === "string") return [`${indent}<${name}${pairs}>${text(content)}</${name}>`];
  const inner = content.flatMap((each) => lines(each, `${indent}  `));
  return [`${indent}<${name}${pairs}>`, ...inner, `${indent}</${name}>`];
}

export function xmlDocument(root: Element): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${lines(root, "").join("\n")}\n`;
}
