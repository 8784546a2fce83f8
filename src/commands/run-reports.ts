/** What the reporters get of `chaos run`: each run when it has ended, and the session. */
import { join } from "node:path";
import { type ExitCode, messageOf } from "../common/errors.js";
import type { Loaded } from "../load/choose.js";
import { type Read, readMatrix } from "../report/read-reports.js";
import { exitCodeOfWhole, type OpenReporters, openReporters } from "../reporters/open.js";
import { placeInFile } from "../reporters/place.js";
import type { Session, Suite } from "../reporters/reporter.js";
import { notReached, suiteOf } from "../reporters/suites.js";
import type { Requested } from "../reporters/requested.js";
import type { RunOutcome } from "../run/run.js";
import type { RunView } from "../ui/base.js";

export interface RunReportsOptions {
  readonly reporters?: readonly Requested[];
  /** Prints a line that CI systems read. Default: nothing is printed. */
  readonly print?: (line: string) => void;
  readonly reportsFolder: string;
  readonly dryRun: boolean;
  readonly view: Pick<RunView, "warn" | "suspended">;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export class RunReports {
  private readonly startedAt = new Date();
  private readonly suites: Suite[] = [];
  private planned: readonly Loaded[] = [];

  private constructor(
    private readonly options: RunReportsOptions,
    private readonly reporters: OpenReporters,
  ) {}

  /** A dry run has no results, and writes no file. @throws UsageError when a file cannot be written. */
  static async open(options: RunReportsOptions): Promise<RunReports> {
    const { reporters = [], dryRun, reportsFolder, env, view, print } = options;
    const lines: string[] = [];
    const opened = await openReporters({
      ...{ requested: dryRun ? [] : reporters, reportsFolder, env },
      print: (line) => lines.push(line),
      warn: (text) => view.warn(text),
    });
    const end = async (session: Session): Promise<boolean> => {
      const whole = await opened.end(session);
      await view.suspended(() => Promise.resolve(lines.forEach((line) => print?.(line))));
      return whole;
    };
    return new RunReports(options, { ...opened, end });
  }

  /** The experiments of the session, so that those that it does not reach are reported, too. */
  plan(loaded: readonly Loaded[]): void {
    this.planned = loaded;
  }

  /** Runs one of them, and tells the reporters. */
  async run(loaded: Loaded, work: () => Promise<RunOutcome>): Promise<RunOutcome> {
    const startedAt = new Date();
    const outcome = await work();
    const { exitCode, result, problem, folder } = outcome;
    this.suites.push(
      suiteOf({
        ...(await aboutOf(loaded, startedAt)),
        ...{ tookMs: Date.now() - startedAt.getTime(), exitCode },
        ...(result === undefined ? {} : { result }),
        ...(problem === undefined ? {} : { problem }),
        ...(folder === undefined ? {} : { report: join(folder, "report.md") }),
      }),
    );
    await this.reporters.soFar(this.session(null));
    return outcome;
  }

  /** The command ends with an error before, or between, its runs. */
  async failed(error: unknown, exitCode: ExitCode): Promise<void> {
    await this.addNotReached();
    await this.reporters.end(this.session(exitCode, messageOf(error)));
  }

  /** @returns the command's exit code. */
  async end(exitCode: ExitCode): Promise<ExitCode> {
    await this.addNotReached();
    const whole = await this.reporters.end(this.session(exitCode));
    return exitCodeOfWhole(exitCode, whole);
  }

  private async addNotReached(): Promise<void> {
    for (const loaded of this.planned.slice(this.suites.length))
      this.suites.push(notReached(await aboutOf(loaded, new Date())));
  }

  private session(exitCode: ExitCode | null, problem?: string): Session {
    const { reportsFolder } = this.options;
    let read: Promise<Read> | undefined;
    return {
      ...{ name: "chaos run", startedAt: this.startedAt.toISOString(), exitCode, problem, notes: [] },
      ...{ tookMs: Date.now() - this.startedAt.getTime(), reportsFolder, suites: this.suites },
      reports: async () => await (read ??= readMatrix([reportsFolder], reportsFolder)),
    };
  }
}

async function aboutOf(
  { file, resolved }: Loaded,
  startedAt: Date,
): Promise<Pick<Suite, "name" | "file" | "place" | "startedAt">> {
  const { name } = resolved.experiment.metadata;
  return { name, file, place: await placeInFile(file), startedAt: startedAt.toISOString() };
}
