/**
 * report.html and index.html in Chromium: real runs, three widths, both themes. The screenshots are in build/screenshots/.
 * The runs: an outage (the committed example), one front end of three cut at times (`runs/intermittent`), a control run
 * (`runs/quiet`). `CHROMIUM` names another browser.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import { type Browser, chromium, type Page } from "playwright-core";
import { packageRoot } from "../../src/common/package-root.js";
import { buildReport } from "../../src/report/files.js";
import { writeIndex } from "../../src/report/index-page.js";
import { readMatrix } from "../../src/report/read-reports.js";

const ROOT = packageRoot();
const RUNS = join(ROOT, "test/browser/runs");
const EXAMPLE = join(ROOT, "reports/example");
const SHOTS = join(ROOT, "build/screenshots");
const WIDTHS = { phone: 390, tablet: 820, desktop: 1440 } as const;
const THEMES = ["light", "dark"] as const;
const REPORTS = ["outage", "intermittent", "quiet"] as const;
const PAGES = [...REPORTS, "index"] as const;
type Name = (typeof PAGES)[number];

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser: Browser;
let folder: string;

/** A folder of reports: the three runs, the committed rows, and two of them as an older version measured them. */
async function makeReports(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "chaos-browser-"));
  await cp(EXAMPLE, made, { recursive: true });
  await cp(join(EXAMPLE, "example-kube-dns"), join(made, "outage"), { recursive: true });
  await rm(join(made, "example-kube-dns"), { recursive: true });
  for (const name of ["intermittent", "quiet"])
    await cp(join(RUNS, name), join(made, name), { recursive: true });
  for (const name of REPORTS) await buildReport(join(made, name));
  for (const file of await readdir(join(RUNS, "earlier"))) {
    const run = join(made, `earlier-${file.replace(/\.json\.gz$/, "")}`);
    await mkdir(run);
    await writeFile(join(run, "result.json"), gunzipSync(await readFile(join(RUNS, "earlier", file))));
  }
  await writeIndex(await readMatrix([made], made), made);
  return made;
}

test.before(async () => {
  folder = await makeReports();
  await mkdir(SHOTS, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});

test.after.always(async () => {
  await browser.close();
  await rm(folder, { recursive: true, force: true });
});

interface Opened {
  readonly page: Page;
  /** Errors of the console and of scripts, and requests for anything but the page. */
  readonly problems: string[];
}

async function open(
  t: ExecutionContext,
  name: Name,
  { width = 1440, colorScheme = "light" }: { width?: number; colorScheme?: "light" | "dark" } = {},
): Promise<Opened> {
  // The policy of the page forbids axe's script, too.
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme,
    bypassCSP: true,
  });
  t.teardown(async () => await context.close());
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(error.message));
  const path = name === "index" ? join(folder, "index.html") : join(folder, name, "report.html");
  const url = pathToFileURL(path).href;
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:"))
      problems.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  if (name !== "index") await page.waitForSelector(".row .plot path.look");
  return { page, problems };
}

/** What axe finds, in short. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return await page.evaluate<string[]>(
    `axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => id + " " + target.join(" ") + ": " + failureSummary)))`,
  );
}

for (const name of PAGES) {
  for (const [device, width] of Object.entries(WIDTHS)) {
    for (const theme of THEMES) {
      test(`${name} on a ${device}, ${theme}: a picture, nothing for axe, no error, no request, no overflow`, async (t) => {
        const { page, problems } = await open(t, name, { width, colorScheme: theme });
        await page.screenshot({ path: join(SHOTS, `${name}-${device}-${theme}.png`), fullPage: true });
        t.deepEqual(await violations(page), []);
        t.is(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
        t.deepEqual(problems, []);
      });
    }
  }
}

test("the policy stands in the browser: an added script does not run", async (t) => {
  const context = await browser.newContext();
  t.teardown(async () => await context.close());
  const page = await context.newPage();
  await page.goto(pathToFileURL(join(folder, "quiet/report.html")).href);
  await page.evaluate(`{
    const script = document.createElement("script");
    script.textContent = "globalThis.foreign = true";
    document.body.append(script);
    document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='globalThis.foreign = true'>");
  }`);
  await page.waitForTimeout(200);
  t.is(await page.evaluate("globalThis.foreign"), undefined);
});

/** The focused lane, and what a screen reader says of it. */
const focused = async (page: Page): Promise<{ label: string; text: string }> =>
  await page.evaluate<{ label: string; text: string }>(
    `({ label: document.activeElement?.getAttribute("aria-label") ?? "", text: document.activeElement?.getAttribute("aria-valuetext") ?? "" })`,
  );

test("the keyboard reaches everything, and moves through lanes and samples", async (t) => {
  const { page, problems } = await open(t, "outage");
  const reached: string[] = [];
  for (let press = 0; press < 60; press += 1) {
    await page.keyboard.press("Tab");
    const what = await page.evaluate<string>(
      `(() => { const e = document.activeElement; return e === document.body ? "" : (e.getAttribute("aria-label") ?? e.textContent ?? e.tagName).slice(0, 40) || e.tagName; })()`,
    );
    if (what === "") break;
    reached.push(what);
  }
  for (const each of [
    "Theme: automatic",
    "Zoom in",
    "Show all of the run",
    "app-write from kube-system-chaos-worker",
    "Preflight",
  ])
    t.true(reached.includes(each), `${each}: ${reached.join(", ")}`);
  t.is(reached.filter((each) => / from /.test(each)).length, 1, "one stop for all lanes");

  await page.locator(".plot[tabindex='0']").focus();
  await page.keyboard.press("ArrowDown");
  t.is((await focused(page)).label, "app-write from kube-system-chaos-worker2");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Home");
  t.regex((await focused(page)).text, /samples?: \d+ good/, "together at first");
  await page.keyboard.press("Enter");
  const single = (await focused(page)).text;
  t.regex(single, /^−[\d.]+ s; good, [\d.]+ m?s; asked: frontend-/, "one sample when close");
  await page.keyboard.press("ArrowRight");
  t.not((await focused(page)).text, single);
  for (let press = 0; press < 4; press += 1) await page.keyboard.press("n");
  t.regex(
    (await focused(page)).text,
    /failed: timeout after 2\.0 s; asked: frontend-\S+; “no answer within 2000 ms”/,
  );
  await page.keyboard.press("0");
  await page.waitForTimeout(100);
  t.regex(
    await page.locator("[role='status']").innerText(),
    /^−[\d.]+ s to \+\d+\.\d s since the first deletion; 21 of 21 lanes$/,
  );
  const last = page.locator(".below .plot").last();
  await last.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  t.regex((await focused(page)).text, /recreated by kube-controller-manager/);
  t.deepEqual(problems, []);
});

test("pointer: hover shows the sample, a drag zooms, filters hide lanes, the table lists failures", async (t) => {
  const { page, problems } = await open(t, "outage");
  const plot = page.locator(".plot").first();
  await plot.scrollIntoViewIfNeeded();
  const box = (await plot.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  await page.mouse.move(box.x + box.width / 2, box.y + 9);
  t.regex(
    await page.locator(".tooltip").innerText(),
    /app-write from kube-system-chaos-worker\n[\s\S]*failed/,
  );
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 + 60, box.y + 9, { steps: 4 });
  await page.mouse.up();
  await page.waitForTimeout(100);
  const status = page.locator("[role='status']");
  const [, from = "", to = ""] = /^\+([\d.]+) s to \+([\d.]+) s/.exec(await status.innerText()) ?? [];
  t.true(Number(to) - Number(from) > 0 && Number(to) - Number(from) < 12, `${from} to ${to}`);
  await page.getByLabel("failing only").check();
  await page.waitForTimeout(100);
  const shown = Number(/; (\d+) of 21 lanes/.exec(await status.innerText())?.[1]);
  t.true(shown > 0 && shown < 21, String(shown));
  await page.getByText("Failed and slow samples in view").click();
  t.regex(await page.locator(".listed tbody tr").first().innerText(), /app-|dns-|outside/);
  await page.locator("select").first().selectOption("app-read");
  await page.waitForTimeout(100);
  t.regex(await status.innerText(), /; 2 of 21 lanes/);
  t.deepEqual(problems, []);
});

test("the theme's button changes it, also where storage is refused", async (t) => {
  const { page, problems } = await open(t, "quiet");
  await page.evaluate(
    `Object.defineProperty(globalThis, "localStorage", { get() { throw new DOMException("refused", "SecurityError"); } })`,
  );
  const ground = async (): Promise<string> =>
    await page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
  const light = await ground();
  await page.locator("#theme").click();
  await page.locator("#theme").click();
  t.is(await page.locator("#theme").innerText(), "Theme: dark");
  t.not(await ground(), light);
  t.deepEqual(problems, []);
});

test("print: the fixed picture instead of the chart, dark text on white", async (t) => {
  const { page } = await open(t, "outage", { colorScheme: "dark" });
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  t.true(await page.locator(".static svg").isVisible());
  t.false(await page.locator("#chart").isVisible());
  t.is(await page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
  await page.pdf({ path: join(SHOTS, "outage-print.pdf"), format: "A4", printBackground: true });
  await page.setViewportSize({ width: 794, height: 1123 });
  await page.screenshot({ path: join(SHOTS, "outage-print.png"), fullPage: true });
  t.is(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
});

test("without scripts the fixed picture and every section are there", async (t) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  t.teardown(async () => await context.close());
  const page = await context.newPage();
  await page.goto(pathToFileURL(join(folder, "intermittent/report.html")).href);
  t.true(await page.locator(".static svg").isVisible());
  t.true(await page.getByRole("heading", { name: "What the application saw" }).isVisible());
});
