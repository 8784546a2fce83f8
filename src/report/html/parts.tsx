/** Parts of both pages. */
import type { ComponentChildren, VNode } from "preact";
import type { Severity } from "../../experiment/names.js";

/** A sign for each severity: its shape differs, not only its colour. */
const SIGN: Readonly<Record<Severity, string>> = {
  outage: "■",
  degraded: "▲",
  "function lost": "◆",
  none: "●",
  inconclusive: "?",
};

export function Badge({ severity, children }: { severity: Severity; children: ComponentChildren }): VNode {
  return (
    <span class={`badge ${severity.replaceAll(" ", "-")}`}>
      <span aria-hidden="true">{SIGN[severity]}</span> {children}
    </span>
  );
}

/** The bar at the top. The button is shown by the script that makes it work. */
export function Header(): VNode {
  return (
    <header>
      <span class="brand">kube-system chaos</span>
      <button type="button" id="theme" hidden />
    </header>
  );
}
