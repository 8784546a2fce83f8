/** What the documents name is there, and what they have to explain is explained. */
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import test from "ava";
import { INCONCLUSIVE_REASONS } from "../../../src/analysis/result.js";
import { ENVIRONMENT } from "../../../src/common/environment.js";
import { EXIT_CODE_WORDS, ExitCode } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { FUNCTION_WORDS, SEVERITY_WORDS, STUDY_WORDS, VERDICT_WORDS } from "../../../src/report/words.js";
import { DOCUMENTS, readDocument } from "../../helpers/documents.js";

const read = readDocument;
const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Record<string, string> };
const sources = readdirSync(join(packageRoot(), "src"), { recursive: true, encoding: "utf8" });

/** The first group of every match. */
const found = (text: string, pattern: RegExp): string[] => [
  ...new Set([...text.matchAll(pattern)].map((match) => match[1] ?? "")),
];

test("the README has at most 1,200 words", (t) => {
  t.true(read("README.md").trim().split(/\s+/).length <= 1_200);
});

test("docs/README.md links to every page of docs/, and the README to it", (t) => {
  const links = found(read("docs/README.md"), /\]\(([\w-]+\.md)\)/g);
  const pages = DOCUMENTS.filter((path) => path.startsWith("docs/") && path !== "docs/README.md");
  t.deepEqual([...links].sort(), pages.map((path) => basename(path)).sort());
  t.true(read("README.md").includes("](docs/README.md)"));
});

for (const path of DOCUMENTS) {
  test(`${path}: every file, folder, script and link is there`, (t) => {
    const text = read(path);
    t.not(text, "");
    for (const name of found(text, /`((?:test|experiments|rbac|src|scripts|docs|reports)\/[\w./-]*)`/g)) {
      if (!name.includes("NAME")) t.true(existsSync(join(packageRoot(), name)), name);
    }
    const bare = path === "ARCHITECTURE.md" ? found(text, /`([\w-]+\.ts)`/g) : [];
    for (const name of bare)
      t.true(
        sources.some((source) => basename(source) === name),
        name,
      );
    for (const name of found(text, /npm run ([\w:]+)/g)) t.true(name in scripts, name);
    for (const link of found(text, /\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [file = "", anchor] = link.split("#");
      const target = file === "" ? path : join(dirname(path), file);
      t.true(existsSync(join(packageRoot(), target)), link);
      if (anchor !== undefined && target.endsWith(".md")) t.true(anchorsOf(target).includes(anchor), link);
    }
  });
}

/** The anchors that GitHub makes of a page's headings. */
function anchorsOf(path: string): string[] {
  return found(read(path), /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("every row of the table of faults names a test", (t) => {
  const safety = read("docs/safety.md");
  const table = safety.slice(safety.indexOf("| Fault "));
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !/^\| (Fault|---)/.test(line));
  t.true(rows.length > 20, `${rows.length} rows`);
  for (const row of rows) t.regex(row.split("|").at(-2) ?? "", /`(test\/|npm run test)/, row.slice(0, 60));
});

test("the glossary explains every reason, severity, verdict, and word of the comparison", (t) => {
  const rows = found(read("docs/glossary.md"), /^\| `([^`]+)`/gm);
  const words = [SEVERITY_WORDS, VERDICT_WORDS, FUNCTION_WORDS, STUDY_WORDS].flatMap((each) =>
    Object.keys(each),
  );
  for (const word of [...INCONCLUSIVE_REASONS, ...words]) t.true(rows.includes(word), word);
});

test("every exit code has its words", (t) => {
  t.deepEqual(
    Object.keys(EXIT_CODE_WORDS),
    Object.values(ExitCode).map((code) => String(code)),
  );
});

test("every environment variable that the command line reads is listed", (t) => {
  // Of the system, or of programs that run in pods and containers: their manifests set them.
  const others =
    /^(HOME|PATH|DOCKER_HOST|PORT|DATA_DIR|DNS_SERVERS|NODE_NAME|TOKEN_FILE|ENTER|POD_NAME|GET_HOSTS_FROM)$/;
  const names = sources
    .filter((path) => /\.(ts|mjs)$/.test(path))
    .flatMap((path) =>
      found(read(join("src", path)), /(?:\benv(?:\.|\[")|variable: "|absoluteFrom\(env, ")([A-Z][A-Z_]+)\b/g),
    );
  t.true(names.includes("XDG_STATE_HOME"));
  for (const name of new Set(names)) t.true(name in ENVIRONMENT || others.test(name), name);
});

test("the package holds every file that is read at run time", (t) => {
  const { files } = JSON.parse(read("package.json")) as { files: string[] };
  const paths = sources
    .filter((path) => /\.(ts|mjs)$/.test(path) && !path.startsWith("lab/assets/"))
    .flatMap((path) => found(read(join("src", path)), /"(src\/(?!k8s\.io)[\w./-]+)"/g));
  t.true(paths.includes("src/clusters/audit-policy.yaml"));
  for (const path of [...paths, "src/clusters/audit-policy.yaml"])
    t.true(
      files.some((each) => path === each || path.startsWith(`${each}/`)),
      path,
    );
});
