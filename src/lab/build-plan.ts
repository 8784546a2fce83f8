import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ChaosError, messageOf } from "../common/errors.js";
import type { Progress } from "../common/progress.js";
import { interruptible } from "./command.js";
import { keyOf, type KeyInput } from "./keys.js";
import { endAll } from "./process.js";

/** The arguments of a step's work. */
interface StepContext {
  /** An empty folder. It becomes the step's result when the work succeeds. */
  readonly output: string;
  /** The folder of a step that this one needs. */
  readonly folderOf: (step: Step) => string;
  /** Shows the current activity. */
  readonly note: (text: string) => void;
}

/** One build step whose result is a folder in the cache. */
export interface Step {
  /** Also the first part of the folder's name. */
  readonly name: string;
  /** The description for the user. */
  readonly title: string;
  /** Steps of one lane run one after the other; one lane downloads while the other compiles. */
  readonly lane: "fetch" | "compile";
  /** Everything that decides the step's result, except the steps it needs. */
  readonly inputs: KeyInput;
  readonly needs: readonly Step[];
  /** Steps that must be there while this one is performed, but do not decide its result. */
  readonly tools?: readonly Step[];
  /** About how long it takes on two cores, s: for the time that is left. */
  readonly seconds: number;
  readonly work: (context: StepContext) => Promise<void>;
}

/** A finished step. */
export interface StepResult {
  readonly key: string;
  readonly folder: string;
}

/** The key and the folder of a step, finished or not. */
export function placeOf(stepsFolder: string, step: Step): StepResult {
  const needs = step.needs.map((each) => placeOf(stepsFolder, each).key);
  const key = keyOf({ name: step.name, inputs: step.inputs, needs });
  return { key, folder: join(stepsFolder, `${step.name}-${key}`) };
}

function everyNeed({ needs, tools }: Step): readonly Step[] {
  return [...needs, ...(tools ?? [])];
}

/** The steps that must be performed for these targets, in an order in which each comes after those that it needs. */
export function pendingSteps(targets: readonly Step[], isDone: (step: Step) => boolean): readonly Step[] {
  const pending = new Set<Step>();
  const visit = (step: Step): void => {
    if (pending.has(step) || isDone(step)) return;
    everyNeed(step).forEach(visit);
    pending.add(step);
  };
  targets.forEach(visit);
  return [...pending];
}

/** The seconds that are left: those of the longer lane, at the speed of what is done so far. */
export function secondsLeft(
  pending: readonly Pick<Step, "lane" | "seconds">[],
  done: ReadonlySet<Pick<Step, "lane" | "seconds">>,
  elapsedS: number,
): number {
  const sum = (steps: readonly { readonly seconds: number }[]): number =>
    steps.reduce((total, { seconds }) => total + seconds, 0);
  const lanes = (["fetch", "compile"] as const).map((lane) => {
    const own = pending.filter((each) => each.lane === lane);
    return { done: sum(own.filter((each) => done.has(each))), all: sum(own) };
  });
  const furthest = Math.max(...lanes.map((lane) => lane.done));
  const speed = furthest < 30 ? 1 : Math.min(4, Math.max(0.5, elapsedS / furthest));
  return Math.max(...lanes.map(({ all, done: finished }) => all - finished)) * speed;
}

/**
 * Performs every step that the targets need and that is not in the cache, in two lanes side by side.
 *
 * @throws the error of the first step that fails. What runs in the other lane is ended. Finished steps stay in the
 *   cache; the next attempt removes the unfinished folders and continues from there.
 */
export async function performAll(
  stepsFolder: string,
  targets: readonly Step[],
  progress: Progress,
  now: () => number = Date.now,
): Promise<(step: Step) => StepResult> {
  const place = (step: Step): StepResult => placeOf(stepsFolder, step);
  const pending = pendingSteps(targets, (step) => existsSync(place(step).folder));
  const done = new Set<Step>();
  const running = new Map<Step, Promise<void>>();
  const stop = new AbortController();
  const started = now();
  const left = (): string => {
    const seconds = secondsLeft(pending, done, (now() - started) / 1000);
    return seconds < 60 ? "less than a minute left" : `about ${Math.round(seconds / 60)} min left`;
  };
  const lanes = { fetch: Promise.resolve(), compile: Promise.resolve() };
  await interruptible(stop.signal, async () => {
    for (const step of pending) {
      const before = [lanes[step.lane], ...everyNeed(step).flatMap((each) => running.get(each) ?? [])];
      const work = Promise.all(before).then(async () => {
        stop.signal.throwIfAborted();
        await progress.step(
          `${step.title} (${done.size + 1} of ${pending.length}, ${left()})`,
          async (note) => {
            await performOne(stepsFolder, step, note);
          },
        );
        done.add(step);
      });
      work.catch((error: unknown) => stop.abort(error));
      running.set(step, work);
      lanes[step.lane] = work;
    }
    await Promise.allSettled(running.values());
    stop.signal.throwIfAborted();
  });
  return place;
}

/**
 * The work writes into a folder with another name, which is renamed only when the work is complete: an interrupted
 * step leaves no result and is performed again.
 */
async function performOne(stepsFolder: string, step: Step, note: (text: string) => void): Promise<void> {
  const place = placeOf(stepsFolder, step);
  await mkdir(stepsFolder, { recursive: true });
  // Older and unfinished results of the same step.
  await removeResults(stepsFolder, (name, entry) => name === step.name && entry !== basename(place.folder));
  const output = join(stepsFolder, `unfinished-${step.name}-${place.key}`);
  // What a killed attempt left running would work in the same folder.
  await endAll(output, { prefix: true });
  await rm(output, { recursive: true, force: true });
  await mkdir(output);
  try {
    await step.work({ output, note, folderOf: (each) => placeOf(stepsFolder, each).folder });
  } catch (error) {
    if (error instanceof ChaosError) throw error;
    throw new ChaosError(
      `the lab's step ${step.name} failed: ${messageOf(error)}. Finished steps are kept: \`chaos cluster up\` continues`,
      { cause: error },
    );
  }
  await writeFile(join(output, ".step.json"), `${JSON.stringify(step.inputs, null, 2)}\n`);
  await rename(output, place.folder);
}

/** Removes the results, finished or not, of steps with other names. */
export async function removeForgotten(stepsFolder: string, names: ReadonlySet<string>): Promise<void> {
  await removeResults(stepsFolder, (name) => !names.has(name));
}

/** Removes the results for which `isOld` holds. `entry`: the folder's name. */
async function removeResults(
  stepsFolder: string,
  isOld: (name: string, entry: string) => boolean,
): Promise<void> {
  for (const entry of await readdir(stepsFolder)) {
    const name = /^(?:unfinished-)?(.+)-[0-9a-f]{16}$/.exec(entry)?.[1];
    if (name !== undefined && isOld(name, entry)) {
      await rm(join(stepsFolder, entry), { recursive: true, force: true });
    }
  }
}
