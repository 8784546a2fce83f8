/** The style and the script of the pages, which `npm run build` bundles from `page/`. */
import { podProgram } from "../../common/pod-program.js";

export interface Assets {
  readonly style: string;
  readonly script: string;
}

/** @throws ChaosError if the package is not built. */
export async function pageAssets(): Promise<Assets> {
  const [style, script] = await Promise.all([podProgram("report-page.css"), podProgram("report-page.js")]);
  return { style: style.trim(), script: script.trim() };
}
