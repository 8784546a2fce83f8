/**
 * The journal's copy in the cluster, so that another machine can restore. It is a Secret, because snapshots of workloads
 * can contain secrets. It is in the probers' namespace, which exists for the whole run and where a minimal Role allows it.
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { ChaosError, ExitCode, messageOf } from "../../common/errors.js";
import {
  type CallOptions,
  create,
  list,
  replace,
  resourcePath,
  SECRETS,
  selectorString,
} from "../../kube/api.js";
import type { Secret } from "../../kube/objects.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { MANAGED_BY, MANAGED_BY_LABEL, RUN_LABEL } from "../../own/manifest.js";
import { PROBER_NAMESPACE } from "../../own/own-names.js";
import { type JournalCopy, UnreadableJournalError } from "./journal.js";

/** The type of the Secrets. */
export const COPY_TYPE = "kube-system-chaos/journal";

const COPY_LABELS = { [MANAGED_BY_LABEL]: MANAGED_BY, app: "chaos-journal" } as const;
const KEY = "journal.gz";

/** Kubernetes' MaxSecretSize is 1 MiB, counted before base64. */
const MAX_BYTES = 1_000_000;

const COLLECTION = resourcePath(SECRETS, PROBER_NAMESPACE);

/** URL path of the copy of one run's journal. */
export function copyPath(runId: string): string {
  return resourcePath(SECRETS, PROBER_NAMESPACE, copyName(runId));
}

const NAME_PREFIX = "journal-";

/** The Secret's name. */
export function copyName(runId: string): string {
  return `${NAME_PREFIX}${runId}`;
}

/** "Secret kube-system-chaos/journal-RUN", for messages. */
export function copyPlace(runId: string): string {
  return `Secret ${PROBER_NAMESPACE}/${copyName(runId)}`;
}

/** Writes the copy of one run's journal. */
export class ClusterCopy implements JournalCopy {
  readonly #transport: Transport;
  readonly #runId: string;
  #made = false;

  constructor(transport: Transport, runId: string) {
    this.#transport = transport;
    this.#runId = runId;
  }

  /** @throws ApiError, ApiUnreachableError; ChaosError when the journal is too large for a Secret. */
  async write(text: string): Promise<void> {
    const packed = gzipSync(text);
    if (packed.length > MAX_BYTES) {
      throw new ChaosError(
        `cannot copy the journal to the cluster: the copy has ${packed.length} bytes, but a Secret can have only ${MAX_BYTES}. Attack fewer workloads at once, or shorten their annotations`,
        { exitCode: ExitCode.preflightRefused },
      );
    }
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: copyName(this.#runId),
        namespace: PROBER_NAMESPACE,
        labels: { ...COPY_LABELS, [RUN_LABEL]: this.#runId },
      },
      type: COPY_TYPE,
      data: { [KEY]: packed.toString("base64") },
    };
    if (this.#made) await replace(this.#transport, copyPath(this.#runId), secret);
    else await create(this.#transport, COLLECTION, secret);
    this.#made = true;
  }
}

/** The text of a run's journal, or why it cannot be read. One damaged copy must not hide the others. */
export type FoundCopy =
  | { readonly runId: string; readonly text: string; readonly error?: never }
  | { readonly runId: string; readonly error: UnreadableJournalError; readonly text?: never };

/**
 * The journals in the cluster, of running and of unfinished runs. Rejects with ApiError, ApiUnreachableError.
 */
export async function copiesInCluster(
  transport: Transport,
  options: CallOptions = {},
): Promise<readonly FoundCopy[]> {
  const labelSelector = selectorString(COPY_LABELS);
  try {
    const { items } = await list<Secret>(transport, COLLECTION, { ...options, labelSelector });
    return (
      items
        .filter(({ type, metadata }) => type === COPY_TYPE && metadata.name.startsWith(NAME_PREFIX))
        // By its name, never by a label: under this name it is looked for and removed.
        .map((secret) => ({ runId: secret.metadata.name.slice(NAME_PREFIX.length), ...unpacked(secret) }))
    );
  } catch (error) {
    // The list is empty when the namespace does not exist; some API servers answer 404 instead.
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}

/** The journal's text, or an error when the data is damaged. The error never shows the content: it can be secret. */
function unpacked(secret: Secret): { readonly text: string } | { readonly error: UnreadableJournalError } {
  try {
    const packed = Buffer.from(secret.data?.[KEY] ?? "", "base64");
    return { text: gunzipSync(packed, { maxOutputLength: 64 * MAX_BYTES }).toString() };
  } catch (cause) {
    const place = `Secret ${PROBER_NAMESPACE}/${secret.metadata.name}`;
    return {
      error: new UnreadableJournalError(place, `it cannot be unpacked: ${messageOf(cause)}`, { cause }),
    };
  }
}
