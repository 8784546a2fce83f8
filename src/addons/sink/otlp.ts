/**
 * What the sink reads of OTLP/HTTP with JSON (open-telemetry/opentelemetry-proto, opentelemetry/proto/logs/v1/logs.proto
 * and metrics/v1/metrics.proto). Times are decimal strings of nanoseconds since 1970. Unknown keys are ignored. Pure.
 */
import { Refused } from "./refused.js";

interface Value {
  readonly stringValue?: string;
}

interface WithResource {
  readonly resource?: { readonly attributes?: readonly { readonly key: string; readonly value?: Value }[] };
}

interface ResourceLogs extends WithResource {
  readonly scopeLogs?: readonly {
    readonly logRecords?: readonly { readonly timeUnixNano?: string; readonly body?: Value }[];
  }[];
}

interface Points {
  readonly dataPoints?: readonly { readonly timeUnixNano?: string }[];
}

interface ResourceMetrics extends WithResource {
  readonly scopeMetrics?: readonly {
    readonly metrics?: readonly { readonly gauge?: Points; readonly sum?: Points }[];
  }[];
}

/** A log line with the container that printed it. A body that is not a string counts as "". */
export interface LogEntry {
  readonly text: string;
  readonly time: string | undefined;
  readonly namespace: string | undefined;
  readonly pod: string | undefined;
  readonly container: string | undefined;
}

/** @param body JSON of an ExportLogsServiceRequest. @throws Refused */
export function logEntries(body: string): LogEntry[] {
  return resources<ResourceLogs>(body, "resourceLogs").flatMap((each) => {
    const from = {
      namespace: attribute(each, "k8s.namespace.name"),
      pod: attribute(each, "k8s.pod.name"),
      container: attribute(each, "k8s.container.name"),
    };
    const records = (each.scopeLogs ?? []).flatMap(({ logRecords = [] }) => logRecords);
    return records.map((record) => ({
      text: record.body?.stringValue ?? "",
      time: record.timeUnixNano,
      ...from,
    }));
  });
}

export interface NodePoints {
  readonly node: string;
  /** Of the last point, nanoseconds since 1970. */
  readonly time: string;
  readonly points: number;
}

/**
 * The points of nodes. Those of pods and containers do not name their node.
 *
 * @param body JSON of an ExportMetricsServiceRequest. @throws Refused
 */
export function nodePoints(body: string): NodePoints[] {
  return resources<ResourceMetrics>(body, "resourceMetrics").flatMap((each) => {
    const node = attribute(each, "k8s.node.name");
    const metrics = (each.scopeMetrics ?? []).flatMap((scope) => scope.metrics ?? []);
    const times = metrics
      .flatMap(({ gauge, sum }) => (gauge ?? sum)?.dataPoints ?? [])
      .map(({ timeUnixNano = "0" }) => timeUnixNano);
    const time = times.at(-1);
    return node === undefined || time === undefined ? [] : [{ node, time, points: times.length }];
  });
}

function resources<T>(body: string, key: string): readonly T[] {
  let request: unknown;
  try {
    request = JSON.parse(body);
  } catch {
    throw new Refused(
      400,
      "the body is not JSON: this sink takes OTLP with encoding json and compression none",
    );
  }
  const found = (request as Readonly<Record<string, unknown>> | null)?.[key];
  if (!Array.isArray(found)) throw new Refused(400, `the body has no list ${key}`);
  return found as readonly T[];
}

function attribute({ resource }: WithResource, key: string): string | undefined {
  return resource?.attributes?.find((each) => each.key === key)?.value?.stringValue;
}
