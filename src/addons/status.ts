/** The line of `chaos cluster status` about the study add-ons. */
import type { Transport } from "../kube/transport.js";
import { addonManagerProof } from "./drift.js";
import { readRecord } from "./addon-record.js";

/** One human-readable line. Changes nothing. Rejects when the API server does not answer. */
export async function addonsStatus(transport: Transport): Promise<string> {
  const installed = (await readRecord(transport)) !== undefined;
  const { state, detail } = await addonManagerProof(transport);
  if (!installed && state === "absent") return "study add-ons: not installed";
  if (!installed) return `study add-ons: partly removed; ${detail}`;
  return state === "proven"
    ? `study add-ons: installed; ${detail}`
    : `study add-ons: installed, addon-manager ${state}: ${detail}; \`chaos cluster up --addons\` repairs it`;
}
