/** Whether the runs of a matrix are comparable: in which environments they were measured. Pure. */
import type { Language } from "../common/language.js";
import type { Environment } from "../evidence/facts.js";
import { cell, list } from "./markdown-text.js";

/** The parts of an environment, in the order of the report. */
export const PARTS: readonly (readonly [
  Exclude<keyof Environment, "notRead">,
  Readonly<Record<Language, string>>,
])[] = [
  ["kubernetes", { en: "Kubernetes", ja: "Kubernetes" }],
  ["platform", { en: "Platform", ja: "プラットフォーム" }],
  ["cni", { en: "Network (CNI)", ja: "ネットワーク (CNI)" }],
  ["serviceProxy", { en: "Service proxy", ja: "Service のプロキシ" }],
  ["dns", { en: "DNS server", ja: "DNS サーバー" }],
  ["kernels", { en: "Kernel", ja: "カーネル" }],
  ["runtimes", { en: "Container runtime", ja: "コンテナランタイム" }],
  ["osImages", { en: "Operating system", ja: "OS" }],
  ["architectures", { en: "Architecture", ja: "アーキテクチャ" }],
  ["cgroups", { en: "Control groups", ja: "cgroup" }],
  ["ipFamilies", { en: "IP families", ja: "IP ファミリー" }],
  ["nodes", { en: "Nodes", ja: "ノード数" }],
  ["apiServers", { en: "API servers", ja: "API サーバー数" }],
];

/** A part in words; undefined: unknown. */
export function partOf(environment: Environment, key: (typeof PARTS)[number][0]): string | undefined {
  const value = environment[key];
  if (value === null || (typeof value === "object" && value.length === 0)) return undefined;
  return typeof value === "object" ? value.join(", ") : String(value);
}

/**
 * What differs between the environments of some runs; empty: nothing that is known. A part that is unknown in a run does
 * not differ from anything.
 *
 * @param runs the name of each, and its environment; undefined: a run of an older version.
 */
export function differences(
  runs: readonly { readonly name: string; readonly environment: Environment | undefined }[],
  lang: Language,
): string {
  const lines = PARTS.flatMap(([key, words]) => {
    const names = new Map<string, string[]>();
    for (const { name, environment } of runs) {
      const value = environment === undefined ? undefined : partOf(environment, key);
      if (value !== undefined) names.set(value, [...(names.get(value) ?? []), name]);
    }
    if (names.size < 2) return [];
    const [colon, comma, semicolon] = lang === "en" ? [": ", ", ", "; "] : [": ", "、", "; "];
    const each = [...names].map(
      ([value, all]) => `${cell(value)} (${all.map((name) => cell(name)).join(comma)})`,
    );
    return [`${words[lang]}${colon}${each.join(semicolon)}`];
  });
  if (lines.length === 0) return "";
  const title =
    lang === "en"
      ? "These rows were measured in different environments, so a difference between rows may come from there:"
      : "以下の行は異なる環境で測定されたため、行の間の違いは環境による可能性がある:";
  return `${title}\n\n${list(lines)}`;
}
