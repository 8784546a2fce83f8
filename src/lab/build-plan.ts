import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Progress } from "../common/progress.js";
import { keyOf, type KeyInput } from "./keys.js";

/** What a step's work is given. */
interface StepContext {
  /** An empty folder; it becomes the step's result when the work ends well. */
  readonly output: string;
  /** Shows what is being done at the moment. */
  readonly note: (text: string) => void;
}

/** One build step whose result is a folder in the cache. */
export interface Step {
  /** Also the first part of its folder's name. */
  readonly name: string;
  /** For people: what is done. */
  readonly title: string;
  /** Everything that decides what the step makes, the keys of the steps before it included. */
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
 * Does a step unless its result is in the cache. The work writes into a folder with another name, which is
 * renamed only when all of it is there: a step that was cut off leaves no result and is done again.
 *
 * @throws whatever the step's work throws; the folder that was begun is left for the next try to remove.
 */
export async function perform(stepsFolder: string, step: Step, progress: Progress): Promise<StepResult> {
  const place = placeOf(stepsFolder, step);
  if (existsSync(place.folder)) return place;
  await progress.step(step.title, async (note) => {
    await mkdir(stepsFolder, { recursive: true });
    await removeForeign(stepsFolder, step.name, place.key);
    const output = join(stepsFolder, `unfinished-${step.name}-${place.key}`);
    await rm(output, { recursive: true, force: true });
    await mkdir(output);
    await step.work({ output, note });
    await writeFile(join(output, ".step.json"), `${JSON.stringify(step.inputs, null, 2)}\n`);
    await rename(output, place.folder);
  });
  return place;
}

/** Removes older results of the same step, and what was begun and not finished. */
async function removeForeign(stepsFolder: string, name: string, key: string): Promise<void> {
  const pattern = new RegExp(`^(unfinished-)?${name.replace(/[.+]/g, "\\$&")}-[0-9a-f]{16}$`);
  for (const entry of await readdir(stepsFolder)) {
    if (pattern.test(entry) && entry !== `${name}-${key}`) {
      await rm(join(stepsFolder, entry), { recursive: true, force: true });
    }
  }
}
