import { randomBytes } from "node:crypto";
import { functionFacts } from "../../components/functions.js";
import { list, resourcePath, SERVICES } from "../../kube/api.js";
import type { Service } from "../../kube/objects.js";
import { ChaosError } from "../../common/errors.js";
import { hostInUrl } from "../../common/host-in-url.js";
import type { Endpoint } from "../prober-plan.js";
import { describe, goodFromAll, Probers, wordsOf } from "./from-probers.js";
import type { FunctionContext, FunctionCheck } from "./function-check.js";
import { CheckTime, preparation } from "./attempt.js";
import { checkNeeds } from "./function-check.js";

const FACTS = functionFacts("unknown-path-is-answered");
const EVERY_MS = 250;
const FIND_LIMIT_MS = 10_000;

const NAMESPACE = "kube-system";
/** The label of its pods and the name of its Service (cluster/addons/cluster-loadbalancing/glbc of Kubernetes). */
const POD_LABEL = "glbc";
const SERVICE_NAME = "default-http-backend";

/** l7-default-backend: it answers unknown paths with 404. */
export const unknownPathIsAnswered: FunctionCheck = {
  ...FACTS,
  needs: () => checkNeeds("its Service", ["list"], { resource: "services", namespace: NAMESPACE }),
  async prepare(context) {
    const { clock } = context;
    const probers = await Probers.find(context);
    const service = await findService(context);
    return {
      async look(signal) {
        const check = new CheckTime(clock, FACTS.deadlineMs, signal);
        await probers.refresh(check);
        const path = `/chaos-${randomBytes(6).toString("hex")}`;
        const results = await probers.fromEach(check, EVERY_MS, async (prober) => {
          const checked = await probers.check(prober, { kind: "http", ...service, path }, check);
          const words = wordsOf(checked);
          return checked.ok && checked.status === 404 ? { done: words } : { not: words };
        });
        return {
          present: goodFromAll(results),
          evidence: `GET http://${hostInUrl(service.ip)}:${service.port}${path}: ${describe(results)}`,
        };
      },
    };
  },
};

/** Address of the component's Service. @throws ChaosError if it is not found. */
async function findService(context: FunctionContext): Promise<Endpoint> {
  const check = preparation(context, FIND_LIMIT_MS);
  const found = await check.until(500, async () => {
    const { items } = await list<Service>(context.transport, resourcePath(SERVICES, NAMESPACE), check.call());
    const service = items.find(isDefaultBackend);
    const ip = service?.spec?.clusterIP;
    const port = service?.spec?.ports?.[0]?.port;
    return ip === undefined || ip === "None" || port === undefined
      ? { not: "no Service with a cluster IP selects its pods" }
      : { done: { ip, port } };
  });
  if (!("not" in found)) return found.done;
  throw new ChaosError(
    `cannot find the default backend: ${found.not}. Looked in ${NAMESPACE} for a Service that selects k8s-app=${POD_LABEL} or is called ${SERVICE_NAME}`,
  );
}

function isDefaultBackend({ metadata, spec }: Service): boolean {
  return metadata.name === SERVICE_NAME || spec?.selector?.["k8s-app"] === POD_LABEL;
}
