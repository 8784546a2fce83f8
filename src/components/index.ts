import type { ComponentName } from "../experiment/schema.js";
import type { ComponentDefinition } from "./component.js";
import { kubeDns } from "./kube-dns.js";

/** Every component that an experiment can name. */
export const components: Readonly<Record<ComponentName, ComponentDefinition>> = {
  "kube-dns": kubeDns,
};
