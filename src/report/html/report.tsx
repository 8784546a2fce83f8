/** `report.html`: the run as one page that needs nothing else. Its texts are those of `report.md`. Pure but for its assets. */
import { deflateRawSync } from "node:zlib";
import type { VNode } from "preact";
import { DASH, duration, percent, plural } from "../../common/figures.js";
import { quoted } from "../../common/shell-word.js";
import type { RunResult } from "../../analysis/result.js";
import { isControl } from "../../experiment/attacks.js";
import { reportSections, type Section, summaryCells, verdict } from "../markdown.js";
import type { ReportInput } from "../report-input.js";
import { matrixRow } from "../row.js";
import { eventLanes, timelineOf, type Timeline } from "../timeline-model.js";
import { drawnSvg } from "../timeline-svg.js";
import { CLIENT_WORDS, SEVERITY_WORDS, VERDICT_WORDS } from "../words.js";
import { type Assets, pageAssets } from "./assets.js";
import { binLength, packed, samplesIn } from "./data.js";
import { DataElement, documentText, Svg } from "./document.js";
import { LatencySection } from "./latency.js";
import { Badge, Header } from "./parts.js";
import { Blocks } from "./markdown.js";

/** The command that runs the same experiment on the same cluster. */
export function rerunCommand({ cluster, experiment }: RunResult["facts"]): string {
  const where =
    cluster.provider === "current" ? ["--context", cluster.context] : ["--cluster", cluster.provider];
  const control = isControl(experiment.attack) ? ["--control"] : [];
  return ["chaos", "run", experiment.file, ...where, ...control].map(quoted).join(" ");
}

/** What a reader of the page looks for later: closed at first. */
const CLOSED: ReadonlySet<string> = new Set([
  "Preflight",
  "Clocks",
  "Substitute images",
  "Thresholds",
  "What the words mean",
  "Files",
]);

const idOf = (title: string): string => title.toLowerCase().replaceAll(/[^a-z]+/g, "-");

function SectionPart({ title, blocks }: Section): VNode {
  const body = <Blocks blocks={blocks} label={title} />;
  if (!CLOSED.has(title)) {
    return (
      <section aria-labelledby={idOf(title)}>
        <h2 id={idOf(title)}>{title}</h2>
        {body}
      </section>
    );
  }
  return (
    <details>
      <summary>
        <h2>{title}</h2>
      </summary>
      {body}
    </details>
  );
}

/** What is in brackets at the end of a text is smaller. */
function Tile({ label, text }: { label: string; text: string }): VNode {
  const [, value = text, detail] = /^(.*?) \((.*)\)$/.exec(text) ?? [];
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        {value}
        {detail === undefined ? null : <small>{detail}</small>}
      </dd>
    </div>
  );
}

/** Columns of the matrix that the heading and the behaviour say already. */
const SAID: ReadonlySet<string> = new Set(["Name", "Severity", "Behaviour when stopped"]);

function Summary({ result }: { result: RunResult }): VNode {
  const row = matrixRow(result);
  const client = result.client ?? null;
  return (
    <dl class="tiles">
      {client === null ? null : <Tile label="Seen by a client" text={CLIENT_WORDS[client.class].en} />}
      {summaryCells(result, row)
        .filter(([column, text]) => !SAID.has(column) && text !== DASH)
        .map(([column, text]) => (
          <Tile label={column} text={text} />
        ))}
    </dl>
  );
}

/** The lines under the chart that say what is in the page, and what is binned. */
function contentOf(timeline: Timeline): string {
  const count = samplesIn(timeline);
  const binMs = binLength(timeline);
  const all = `${plural(count, "sample")} of ${plural(
    timeline.probes.reduce((sum, { shown, others }) => sum + shown.length + others.length, 0),
    "lane",
  )}`;
  return binMs === null
    ? `${all}: every sample is in this page.`
    : `${all}: failed, slow and missed samples are in this page one by one; good ones are binned by ${duration(binMs)}. All are in samples/.`;
}

function TimelineSection({ timeline, svg }: { timeline: Timeline; svg: string }): VNode {
  const data = packed(timeline, eventLanes(timeline));
  const base64 = data === null ? "" : deflateRawSync(JSON.stringify(data)).toString("base64");
  return (
    <section aria-labelledby="timeline" class="wide">
      <h2 id="timeline">Timeline</h2>
      <Svg svg={svg} />
      <div id="chart" hidden />
      {data === null ? null : (
        <>
          <p class="faint">{contentOf(timeline)}</p>
          <DataElement id="data" base64={base64} />
        </>
      )}
    </section>
  );
}

function ReportBody({
  result,
  timeline,
  svg,
}: {
  result: RunResult;
  timeline: Timeline;
  svg: string;
}): VNode {
  const { facts } = result;
  const row = matrixRow(result);
  const [first = "", ...more] = verdict(result, row);
  return (
    <>
      <Header />
      <main>
        <p class="crumb">{facts.experiment.title}</p>
        <h1>
          {timeline.name} <Badge severity={result.severity}>{SEVERITY_WORDS[result.severity].en}</Badge>
        </h1>
        <p class="lead">{row.behaviour.en}</p>
        <div class={`verdict ${result.verdict.replaceAll(" ", "-")}`}>
          <Blocks blocks={[first]} label="Verdict" />
        </div>
        <Summary result={result} />
        <TimelineSection timeline={timeline} svg={svg} />
        <LatencySection timeline={timeline} />
        <section aria-labelledby="verdict">
          <h2 id="verdict">Why: {VERDICT_WORDS[result.verdict].en}</h2>
          <Blocks blocks={more} label="Verdict" />
        </section>
        {reportSections(result).map((section) => (
          <SectionPart {...section} />
        ))}
        <section aria-labelledby="again">
          <h2 id="again">Run it again</h2>
          <pre tabindex={0} aria-label="command">
            <code>{rerunCommand(facts)}</code>
          </pre>
        </section>
      </main>
      <footer>
        kube-system chaos {facts.toolVersion} · run {facts.runId} · started {facts.startedAt} · Kubernetes{" "}
        {facts.cluster.version}, {plural(facts.cluster.nodes.length, "node")}
      </footer>
    </>
  );
}

/** The page, from its assets. Pure. */
export function reportPage({ result, events, series }: ReportInput, assets: Assets): string {
  const timeline = timelineOf(result, events, series);
  const svg = drawnSvg(result, timeline);
  const share = matrixRow(result).writeAvailability;
  const writes = share === null ? "" : `, ${percent(share)} of writes`;
  return documentText({
    title: `${timeline.name}: ${result.severity}${writes} · kube-system chaos`,
    assets,
    children: <ReportBody result={result} timeline={timeline} svg={svg} />,
  });
}

/** @throws ChaosError if the package is not built. */
export async function reportHtml(input: ReportInput): Promise<string> {
  return reportPage(input, await pageAssets());
}
