import { randomBytes } from "node:crypto";

/** "20261121t203015z-kube-dns-3f9a": sorts by time; valid as a folder's name and as a label's value. */
export function newRunId(startedAt: Date, name: string): string {
  const stamp = startedAt
    .toISOString()
    .replace(/[-:]|\.\d+/g, "")
    .toLowerCase();
  return `${stamp}-${name.slice(0, 40)}-${randomBytes(2).toString("hex")}`;
}
