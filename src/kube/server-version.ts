/** The oldest supported Kubernetes, as its minor version of major version 1. */
const OLDEST_MINOR = 30;

/** What users read about it. */
export const SUPPORTED_KUBERNETES = `Kubernetes 1.${OLDEST_MINOR} and newer`;

/**
 * Whether a server is supported.
 *
 * @param gitVersion as the server names it: `v1.36.3`, `v1.31.2-gke.100`. A build without a release has
 * `v0.0.0-master+$Format:%H$` (component-base/version/base.go) or no version at all: it is `unknown`.
 */
export function supportOf(gitVersion: string): "supported" | "too old" | "unknown" {
  const [, major, minor] = /^v?([1-9]\d*)\.(\d+)/.exec(gitVersion) ?? [];
  if (major === undefined) return "unknown";
  return Number(major) > 1 || Number(minor) >= OLDEST_MINOR ? "supported" : "too old";
}
