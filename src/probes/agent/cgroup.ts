import fs from "node:fs";

/**
 * The version of the node's control groups, as a container sees them: version 2 has the file cgroup.controllers at its
 * root, version 1 has one folder per controller (kernel.org, admin-guide/cgroup-v2). undefined: neither is mounted.
 */
export function cgroupVersion(root = "/sys/fs/cgroup"): "v1" | "v2" | undefined {
  if (fs.existsSync(`${root}/cgroup.controllers`)) return "v2";
  return fs.existsSync(`${root}/memory`) || fs.existsSync(`${root}/cpu`) ? "v1" : undefined;
}
