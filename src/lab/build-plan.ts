import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Progress } from "../common/progress.js";
import { keyOf, type KeyInput } from "./keys.js";

/** The arguments of a step's work. */
interface StepContext {
  /** An empty folder. It becomes the step's result when the work succeeds. */
  readonly output: string;
  /** Shows the current activity. */
  readonly note: (text: string) => void;
}

/** One build step whose result is a folder in the cache. */
export interface Step {
  /** Also the first part of the folder's name. */
  readonly name: string;
  /** The description for the user. */
  readonly title: string;
  /** Everything that decides the step's result, including the keys of the steps before it. */
  readonly inputs: KeyInput;
  readonly work: (context: StepContext) => Promise<void>;
}

/** A finished step. */
export interface StepResult {
  readonly key: string;
  readonly folder: string;
}

/** The key and the folder of a step, finished or not. */
export function placeOf(stepsFolder: string, step: Pick<Step, "name" | "inputs">): StepResult {
  const key = keyOf({ name: step.name, inputs: step.inputs });
  return { key, folder: join(stepsFolder, `${step.name}-${key}`) };
}

/**
 * Performs a step unless its result is in the cache. The work writes into a folder with another name, which is renamed
 * only when the work is complete: an interrupted step leaves no result and is performed again.
 *
 * @throws the error of the step's work. The next attempt removes the unfinished folder.
 */
export async function perform(stepsFolder: string, step: Step, progress: Progress): Promise<StepResult> {
  const place = placeOf(stepsFolder, step);
  if (existsSync(place.folder)) return place;
  await progress.step(step.title, async (note) => {
    await mkdir(stepsFolder, { recursive: true });
    await removeOlder(stepsFolder, step.name, place.key);
    const output = join(stepsFolder, `unfinished-${step.name}-${place.key}`);
    await rm(output, { recursive: true, force: true });
    await mkdir(output);
    await step.work({ output, note });
    await writeFile(join(output, ".step.json"), `${JSON.stringify(step.inputs, null, 2)}\n`);
    await rename(output, place.folder);
  });
  return place;
}

/** Removes older and unfinished results of the same step. */
async function removeOlder(stepsFolder: string, name: string, key: string): Promise<void> {
  const pattern = new RegExp(`^(unfinished-)?${name.replace(/[.+]/g, "\\$&")}-[0-9a-f]{16}$`);
  for (const entry of await readdir(stepsFolder)) {
    if (pattern.test(entry) && entry !== `${name}-${key}`) {
      await rm(join(stepsFolder, entry), { recursive: true, force: true });
    }
  }
}
