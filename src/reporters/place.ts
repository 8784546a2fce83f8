import { readFile } from "node:fs/promises";
import { LineIndex, type Place, Positions } from "../strict-yaml/positions.js";
import { readYaml } from "../strict-yaml/yaml.js";

/** The position of an experiment's expectation; without one: of its target. Pure. undefined: not YAML. */
export function expectationPlace(text: string): Place | undefined {
  const read = readYaml(text, "an experiment");
  if (!("document" in read)) return undefined;
  const positions = new Positions(read.document, new LineIndex(text));
  const path = positions.has(["expectation"]) ? ["expectation", "impact"] : ["target"];
  return positions.place(path, "key");
}

/** The same of a file, which may have gone since the run: then undefined. */
export async function placeInFile(file: string): Promise<Place | undefined> {
  try {
    return expectationPlace(await readFile(file, "utf8"));
  } catch {
    // A report without the line is better than none; the run itself has read the file.
    return undefined;
  }
}
