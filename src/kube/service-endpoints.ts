import type { EndpointSlice } from "./objects.js";
import type { WatchEvent } from "./watch.js";

/** The label of an EndpointSlice with its Service's name. */
export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

type Endpoint = EndpointSlice["endpoints"][number];

/** Endpoints of a Service, each counted once: with dual stack it is in a slice of each address family. */
interface EndpointCount {
  readonly ready: number;
  readonly servingTerminating: number;
}

/** `before`: the count until now; undefined: none was known. */
type OnChange = (service: string, count: EndpointCount, before: EndpointCount | undefined) => void;

/** The ready endpoints of a slice. A missing condition reads as true (api/discovery/v1/types.go). */
export function readyIn(slice: EndpointSlice): Endpoint[] {
  return (slice.endpoints ?? []).filter((endpoint) => endpoint.conditions?.ready ?? true);
}

/** Counts the endpoints of the Services of one namespace, from a watch of their slices. */
export class ServiceEndpoints {
  readonly #slices = new Map<string, EndpointSlice>();
  readonly #counts = new Map<string, EndpointCount>();
  readonly #onChange: OnChange;

  /** @param onChange called when a Service's count is known at first, and when it changes. */
  constructor(onChange: OnChange) {
    this.#onChange = onChange;
  }

  /** 0 also for a Service that is not known. */
  ready(service: string): number {
    return this.#counts.get(service)?.ready ?? 0;
  }

  apply({ type, object }: WatchEvent<EndpointSlice>): void {
    const { name } = object.metadata;
    const before = this.#slices.get(name);
    if (type === "DELETED") this.#slices.delete(name);
    else this.#slices.set(name, object);
    for (const service of new Set([before, object].flatMap((slice) => serviceOf(slice) ?? [])))
      this.#count(service);
  }

  #count(service: string): void {
    const slices = [...this.#slices.values()].filter((slice) => serviceOf(slice) === service);
    const terminating = slices.flatMap((slice) =>
      (slice.endpoints ?? []).filter(
        ({ conditions }) => conditions?.serving === true && conditions.terminating === true,
      ),
    );
    const count = { ready: distinct(slices.flatMap(readyIn)), servingTerminating: distinct(terminating) };
    const before = this.#counts.get(service);
    this.#counts.set(service, count);
    if (before?.ready !== count.ready || before.servingTerminating !== count.servingTerminating)
      this.#onChange(service, count, before);
  }
}

function serviceOf(slice: EndpointSlice | undefined): string | undefined {
  return slice?.metadata.labels?.[SERVICE_NAME_LABEL];
}

/** An endpoint is its pod or, without one, its addresses. */
function distinct(endpoints: readonly Endpoint[]): number {
  return new Set(endpoints.map(({ targetRef, addresses }) => targetRef?.uid ?? addresses.join(","))).size;
}
