import { ask, run } from "./command.js";
import { toolPath, type Tools } from "./steps/tools.js";

/** The bridge that the nodes are on, and the one chain the lab adds to the machine's filter table. */
export const BRIDGE = "ksc-lab0";
const CHAIN = "KUBE-SYSTEM-CHAOS";

/**
 * What the chain says: nodes talk to each other, and what would leave the bridge is rejected at once. The
 * rejection is quick on purpose: a silent drop would show up as a time-out in whatever tried.
 */
export function chainRules(bridge: string): readonly (readonly string[])[] {
  return [
    ["-i", bridge, "-o", bridge, "-j", "ACCEPT"],
    ["-i", bridge, "-j", "REJECT", "--reject-with", "icmp-port-unreachable"],
    ["-o", bridge, "-j", "REJECT", "--reject-with", "icmp-port-unreachable"],
  ];
}

/**
 * Keeps the cluster's traffic on the machine. The lab's engine manages no firewall at all (its chains would have
 * the same names as those of an engine that the user runs); this chain is all there is, and it comes before
 * every other rule for forwarded packets.
 */
export async function closeFirewall(tools: Tools): Promise<void> {
  const iptables = toolPath(tools, "iptables");
  const options = { timeoutMs: 30_000, env: tools.env };
  await openFirewall(tools);
  await run(iptables, ["-w", "-N", CHAIN], options);
  for (const rule of chainRules(BRIDGE)) await run(iptables, ["-w", "-A", CHAIN, ...rule], options);
  await run(iptables, ["-w", "-I", "FORWARD", "-j", CHAIN], options);
}

/** Takes the chain and every jump to it away again; does nothing when they are not there. */
export async function openFirewall(tools: Tools): Promise<void> {
  const iptables = toolPath(tools, "iptables");
  const options = { timeoutMs: 30_000, env: tools.env };
  for (let jumps = 0; jumps < 10; jumps++) {
    const gone = await ask(iptables, ["-w", "-D", "FORWARD", "-j", CHAIN], options);
    if (gone.exitCode !== 0) break;
  }
  for (const verb of ["-F", "-X"]) await ask(iptables, ["-w", verb, CHAIN], options);
}

/** Whether the chain is there and forwarded packets go through it. */
export async function isFirewallClosed(tools: Tools): Promise<boolean> {
  const rule = ["-w", "-C", "FORWARD", "-j", CHAIN];
  const answer = await ask(toolPath(tools, "iptables"), rule, { timeoutMs: 30_000, env: tools.env });
  return answer.exitCode === 0;
}
