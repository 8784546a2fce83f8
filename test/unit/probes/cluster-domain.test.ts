import test from "ava";
import { clusterDomainIn, withClusterDomain } from "../../../src/probes/agent/cluster-domain.js";

test("the cluster's domain comes from the search path that the kubelet writes", (t) => {
  const file = (search: string): string => `nameserver fd00:10:96::a\n${search}\noptions ndots:5\n`;
  t.is(
    clusterDomainIn(file("search default.svc.cluster.local svc.cluster.local cluster.local")),
    "cluster.local",
  );
  t.is(
    clusterDomainIn(file("search chaos.svc.k8s.example.com svc.k8s.example.com k8s.example.com lan")),
    "k8s.example.com",
  );
  t.is(clusterDomainIn(file("search\tchaos.svc.prod. svc.prod.")), "prod");
  t.is(clusterDomainIn(file("search lan\nsearch a.svc.b")), "b", "the last search line counts");
  t.is(clusterDomainIn(file("search lan")), "cluster.local", "no Service domain: the usual one");
  t.is(clusterDomainIn(""), "cluster.local");
});

test("only a name in .svc gets the domain", (t) => {
  t.is(withClusterDomain("redis-leader.shop.svc", "prod"), "redis-leader.shop.svc.prod");
  t.is(
    withClusterDomain("redis-leader.shop.svc.cluster.local", "prod"),
    "redis-leader.shop.svc.cluster.local",
  );
  t.is(withClusterDomain("example.com.", "prod"), "example.com.");
});
