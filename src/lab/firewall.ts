import { ask, run } from "./command.js";
import { toolPath, type Tools } from "./steps/tools.js";

/** The nodes' bridge, and the only chain that the lab adds to the machine's filter table. */
export const BRIDGE = "ksc-lab0";
const CHAIN = "KUBE-SYSTEM-CHAOS";

/**
 * The rules of the chain: nodes reach each other, and traffic that would leave the bridge is rejected. Reject instead
 * of drop, so that the sender fails immediately and does not wait for its timeout.
 */
export function chainRules(bridge: string): readonly (readonly string[])[] {
  return [
    ["-i", bridge, "-o", bridge, "-j", "ACCEPT"],
    ["-i", bridge, "-j", "REJECT", "--reject-with", "icmp-port-unreachable"],
    ["-o", bridge, "-j", "REJECT", "--reject-with", "icmp-port-unreachable"],
  ];
}

/**
 * Keeps the cluster's traffic on the machine. The lab's engine manages no firewall, because its chains would have the
 * same names as those of the user's own engine. This chain replaces them and comes before every other rule for
 * forwarded packets.
 */
export async function closeFirewall(tools: Tools): Promise<void> {
  const iptables = toolPath(tools, "iptables");
  const options = { timeoutMs: 30_000, env: tools.env };
  await openFirewall(tools);
  await run(iptables, ["-w", "-N", CHAIN], options);
  for (const rule of chainRules(BRIDGE)) await run(iptables, ["-w", "-A", CHAIN, ...rule], options);
  await run(iptables, ["-w", "-I", "FORWARD", "-j", CHAIN], options);
}

/** Removes the chain and every jump to it. Does nothing when they do not exist. */
export async function openFirewall(tools: Tools): Promise<void> {
  const iptables = toolPath(tools, "iptables");
  const options = { timeoutMs: 30_000, env: tools.env };
  for (let jumps = 0; jumps < 10; jumps++) {
    const gone = await ask(iptables, ["-w", "-D", "FORWARD", "-j", CHAIN], options);
    if (gone.exitCode !== 0) break;
  }
  for (const verb of ["-F", "-X"]) await ask(iptables, ["-w", verb, CHAIN], options);
}

/** Whether the chain exists and forwarded packets pass through it. */
export async function isFirewallClosed(tools: Tools): Promise<boolean> {
  const rule = ["-w", "-C", "FORWARD", "-j", CHAIN];
  const answer = await ask(toolPath(tools, "iptables"), rule, { timeoutMs: 30_000, env: tools.env });
  return answer.exitCode === 0;
}
