/** The domain of the cluster's Services, which a cluster may choose (the kubelets' `clusterDomain`). */
import fs from "node:fs";

const DEFAULT_DOMAIN = "cluster.local";

/**
 * The domain in a pod's resolv.conf. The kubelet writes `search NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN …`
 * (kubernetes/kubernetes pkg/kubelet/network/dns/dns.go); the last search line counts, as for the C library. Pure.
 */
export function clusterDomainIn(resolvConf: string): string {
  const searches = [...resolvConf.matchAll(/^\s*search\s+(.*)$/gm)].at(-1)?.[1] ?? "";
  const domains = searches.split(/\s+/).map((domain) => /^[^.]+\.svc\.(.+?)\.?$/.exec(domain)?.[1]);
  return domains.find((domain) => domain !== undefined) ?? DEFAULT_DOMAIN;
}

/** The domain of this pod's cluster; the usual one where the file cannot be read. */
export function clusterDomain(file = "/etc/resolv.conf"): string {
  try {
    return clusterDomainIn(fs.readFileSync(file, "utf8"));
  } catch (error) {
    console.error(`cannot read ${file}, taking ${DEFAULT_DOMAIN} as the cluster's domain: ${String(error)}`);
    return DEFAULT_DOMAIN;
  }
}

/** A name with the cluster's domain where it ends in `.svc`: only a pod knows the domain without any right. Pure. */
export function withClusterDomain(name: string, domain: string): string {
  return name.endsWith(".svc") ? `${name}.${domain}` : name;
}
