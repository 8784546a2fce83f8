import { join } from "node:path";
import { buildReport } from "../report/files.js";
import { summaryLines } from "../report/summary.js";
import type { RunView } from "../ui/base.js";

/** `chaos report FOLDER`: recomputes the result from the raw files. */
export async function rebuildReport(folder: string, view: RunView): Promise<void> {
  const result = await buildReport(folder);
  view.result(summaryLines(result, join(folder, "report.md")), result);
}
