import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Apt } from "../apt.js";
import { run } from "../command.js";
import type { Step } from "../build-plan.js";

/** kind's own files for its node images (entrypoint, systemd units, containerd's configuration). */
export function kindFilesStep(apt: Apt): Step {
  return {
    name: "kind-files",
    title: "Fetching kind's files for its nodes",
    inputs: { version: 1, release: "trixie" },
    work: async ({ output }) => {
      const download = join(output, "download");
      await mkdir(download);
      const archive = await apt.downloadSource("trixie", "kind", download);
      await run(
        "tar",
        [
          ...["-xf", archive, "-C", output, "--strip-components=4"],
          ...["--wildcards", "*/images/base/files/*"],
        ],
        { timeoutMs: 60_000 },
      );
      await rm(download, { recursive: true });
    },
  };
}
