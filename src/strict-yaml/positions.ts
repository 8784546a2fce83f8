import { isMap, isScalar, isSeq, LineCounter, type Document, type Pair } from "yaml";

/** Which part of a `key: value` is meant. */
export type Part = "key" | "value";

/** A position in a file. Both numbers start at 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Lines and columns of offsets in a text, whether or not it could be parsed. */
export class LineIndex {
  private readonly counter = new LineCounter();

  constructor(text: string) {
    this.counter.addNewLine(0);
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1))
      this.counter.addNewLine(at + 1);
  }

  /** The position of an offset in UTF-16 units. */
  placeOf(offset: number): Place {
    const { line, col } = this.counter.linePos(offset);
    return { line, column: col };
  }
}

/** Turns the paths of the validation into positions in the file. */
export class Positions {
  constructor(
    private readonly document: Document.Parsed,
    private readonly lines: LineIndex,
  ) {}

  /**
   * Position of a path. For a path that the file does not have (a missing key): position of the nearest parent key, or the
   * start of the contents.
   */
  place(path: readonly PropertyKey[], part: Part): Place {
    const chain = this.walk(path);
    const last = chain.at(-1);
    if (last === undefined) return this.lines.placeOf(offsetOf(this.document.contents) ?? 0);
    const exists = chain.length === path.length;
    const empty = isScalar(last.value) && last.value.range?.[0] === last.value.range?.[1];
    const node = exists && part === "value" && !empty ? last.value : last.key;
    return this.lines.placeOf(offsetOf(node) ?? offsetOf(last.key) ?? 0);
  }

  /** Whether the file itself has the path. */
  has(path: readonly PropertyKey[]): boolean {
    return this.walk(path).length === path.length;
  }

  /** The keys and values along a path, as far as the file has them. */
  private walk(path: readonly PropertyKey[]): { key: unknown; value: unknown }[] {
    const chain: { key: unknown; value: unknown }[] = [];
    let node: unknown = this.document.contents;
    for (const segment of path) {
      const next = child(node, segment);
      if (next === undefined) break;
      chain.push(next);
      node = next.value;
    }
    return chain;
  }
}

function child(node: unknown, segment: PropertyKey): { key: unknown; value: unknown } | undefined {
  if (isMap(node)) {
    // Of duplicate keys the last value counts.
    return node.items.findLast((pair: Pair) => keyText(pair.key) === String(segment));
  }
  if (isSeq(node)) {
    const item = node.items[Number(segment)];
    return item === undefined ? undefined : { key: item, value: item };
  }
  return undefined;
}

/** The key as in the converted value. */
function keyText(key: unknown): string | undefined {
  if (!isScalar<string | number | boolean | null>(key)) return undefined;
  return key.value === null ? "" : String(key.value);
}

function offsetOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}
