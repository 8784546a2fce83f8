/** The page of all reports, index.html. Each run writes its own report.html without it. */
import { makeFolder } from "../common/make-folder.js";
import { writeIndex } from "../report/index-page.js";
import type { EndReporter } from "./reporter.js";

export const html: EndReporter = {
  end: async ({ reportsFolder, reports }) => {
    const read = await reports();
    await makeFolder(reportsFolder);
    await writeIndex(read, reportsFolder);
  },
};
