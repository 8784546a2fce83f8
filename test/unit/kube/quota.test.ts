import test from "ava";
import { exceedsQuota } from "../../../src/kube/quota.js";

const refusal = (used: string, limited: string): string =>
  `POST /x: HTTP 403 Forbidden: pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: ${used}, limited: ${limited}`;

test("a full quota counts the object that exists: it can come back", (t) => {
  t.false(exceedsQuota(refusal("pods=2", "pods=2")));
  t.false(exceedsQuota(refusal("pods=2,requests.memory=140Mi", "pods=2,requests.memory=1Gi")));
  t.false(exceedsQuota(refusal("requests.cpu=200m", "requests.cpu=1")));
});

test("a quota that is exceeded already, an unknown figure, and any other refusal come again", (t) => {
  t.true(exceedsQuota(refusal("pods=3", "pods=2")));
  t.true(exceedsQuota(refusal("pods=1,requests.cpu=1100m", "pods=2,requests.cpu=1")));
  t.true(exceedsQuota(refusal("pods=x", "pods=2")));
  t.true(exceedsQuota('admission webhook "x" denied the request'));
});
