/** The experiment file that `chaos init --app` writes. Pure. */
import type { Pod, Service } from "../kube/objects.js";

/** What is known of an application. */
export interface AppFound {
  readonly namespace: string;
  readonly service: string;
  readonly port: ServicePort;
  /** Those that the Service selects. */
  readonly pods: readonly Pod[];
}

type ServicePort = NonNullable<NonNullable<Service["spec"]>["ports"]>[number];
type Container = NonNullable<Pod["spec"]>["containers"][number];

/** The port of a Service that is asked: the named one, else the only TCP one, else the one that looks like HTTP. */
export function portOf(
  { metadata, spec }: Service,
  wanted: number | string | undefined,
): { readonly port: ServicePort } | { readonly problem: string } {
  const all = (spec?.ports ?? []).filter(({ protocol }) => (protocol ?? "TCP") === "TCP");
  const known = all
    .map(({ port, name }) => (name === undefined ? String(port) : `${name} (${port})`))
    .join(", ");
  const what = `Service ${metadata.namespace ?? ""}/${metadata.name}`;
  if (wanted !== undefined) {
    const port = all.find((each) => each.port === wanted || each.name === wanted);
    return port === undefined
      ? { problem: `${what} has no TCP port ${wanted}; its TCP ports: ${known || "none"}` }
      : { port };
  }
  const [only, ...others] = all;
  if (only === undefined) return { problem: `${what} has no TCP port, and only those can be measured` };
  if (others.length === 0) return { port: only };
  const http = all.find(
    ({ name, appProtocol, port }) => /^http$|^web$/i.test(appProtocol ?? name ?? "") || port === 80,
  );
  return http === undefined
    ? {
        problem: `${what} has several ports: ${known}. Name one: --app ${metadata.namespace ?? ""}/${metadata.name}:PORT`,
      }
    : { port: http };
}

/** The container's port that the Service sends to. */
function serves(
  { containers }: NonNullable<Pod["spec"]>,
  { port, targetPort = port }: ServicePort,
): Container | undefined {
  return (
    containers.find(({ ports = [] }) =>
      ports.some(({ name, containerPort }) => name === targetPort || containerPort === targetPort),
    ) ?? containers[0]
  );
}

interface Readiness {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The HTTP readiness probe on the port that the Service sends to; undefined: there is none. */
function readinessOf(pods: readonly Pod[], port: ServicePort): Readiness | undefined {
  for (const { spec } of pods) {
    const container = spec === undefined ? undefined : serves(spec, port);
    const probe = container?.readinessProbe?.httpGet;
    if (container === undefined || probe === undefined || probe.scheme === "HTTPS") continue;
    const numberOf = (each: number | string | undefined): number | undefined =>
      typeof each === "number" ? each : container.ports?.find(({ name }) => name === each)?.containerPort;
    if (numberOf(probe.port) !== numberOf(port.targetPort ?? port.port)) continue;
    // A value may be a credential, which does not belong into a file that is shared.
    const headers = (probe.httpHeaders ?? []).map(({ name }) => [name, "…"] as const);
    return { path: probe.path ?? "/", headers: Object.fromEntries(headers) };
  }
  return undefined;
}

/** Whether the port looks like HTTP without a readiness probe that says so. */
const looksLikeHttp = ({ name, appProtocol, port }: ServicePort): boolean =>
  /^(http|web|h2c)/i.test(appProtocol ?? name ?? "") || [80, 8080, 3000, 8000].includes(port);

function requestLines(found: AppFound): string[] {
  const { service, port, pods } = found;
  const readiness = readinessOf(pods, port);
  const where = [`service: ${service}`, `port: ${port.name ?? port.port}`];
  if (readiness === undefined && !looksLikeHttp(port)) return [...where, "tcp: {}"];
  return [
    ...where,
    "http:",
    `  path: ${JSON.stringify(readiness?.path ?? "/")}`,
    ...Object.keys(readiness?.headers ?? {}).map(
      (name) => `  # The readiness probe sends the header ${name}, too.`,
    ),
    "  good: { status: 200-399 }",
  ];
}

const indented = (lines: readonly string[], by: number): string[] =>
  lines.map((line) => `${" ".repeat(by)}${line}`);

/** The file, with comments that say what to change. */
export function experimentText(found: AppFound): string {
  const { namespace, service, port, pods } = found;
  const request = requestLines(found);
  const isHttp = request.includes("http:");
  const from = readinessOf(pods, port) === undefined ? "a guess" : "from the readiness probe of its pods";
  return [
    `# Takes kube-dns down under ${namespace}/${service}, an application that runs already. Nothing is deployed but the`,
    "# probers, and nothing in its namespace is changed. docs/your-application.md describes every key.",
    "apiVersion: kube-system-chaos/v1",
    "kind: Experiment",
    "metadata:",
    `  name: ${`${service}-kube-dns`.slice(0, 63).replace(/-+$/, "")}`,
    "target:",
    "  component: kube-dns",
    "application:",
    "  existing:",
    `    namespace: ${namespace}`,
    `    # The request whose loss is an outage (${isHttp ? from : "a TCP connection"}). Best is one that writes to your database, such as:`,
    "    #   http:",
    "    #     method: PUT",
    "    #     path: /probe",
    '    #     headers: { content-type: "application/json" }',
    '    #     body: \'{"value": "{token}"}\'',
    "    #     good: { status: 200-299 }",
    "    # {token} is a new text for each sample. Every worker sends one request every 250 ms.",
    "    write:",
    ...indented(request, 6),
    "      # dns: through the Service's name, as its clients do. Also: cluster-ip, pods (each one in turn).",
    "      through: dns",
    '    # What reads. A good answer may have to contain a token that was written: good: { contains: "{token}" }.',
    "    read:",
    ...indented(request, 6),
    "phases:",
    "  baseline: 15s",
    "  window: 60s",
    "",
  ].join("\n");
}
