/** The files of `chaos init`: the package's experiments with comments, which the cluster's texts cannot leave. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { parse } from "yaml";
import { experimentText, MODELINE } from "../../../src/commands/experiment-text.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { COMPONENTS } from "../../../src/experiment/names.js";
import { experimentJsonSchema } from "../../../src/experiment/json-schema.js";
import { experimentSchema } from "../../../src/experiment/schema.js";
import { parseExperiment } from "../../../src/load/read.js";
import { width } from "../../../src/ui/width.js";

function textFor(name: string, facts: readonly string[] = ["Found."]): { template: string; text: string } {
  const template = readFileSync(join(packageRoot(), "experiments", `${name}.yaml`), "utf8");
  return {
    template,
    text: experimentText({ template, schema: experimentJsonSchema(), role: `${name} works.`, facts }),
  };
}

for (const name of COMPONENTS)
  test(`${name}: the same experiment as the package's, valid, with a comment for each key`, (t) => {
    const { template, text } = textFor(name);
    t.deepEqual(parse(text), parse(template));
    t.true("experiment" in parseExperiment(text, "x.yaml"));
    const lines = text.split("\n");
    t.is(lines[0], MODELINE);
    t.is(lines[1], `# ${name} works.`);
    t.deepEqual(
      lines.filter((line) => width(line) > 100),
      [],
    );
    for (const [index, line] of lines.entries())
      if (/^ *[a-z]\w*:/i.test(line) && !/^(apiVersion|kind):/.test(line))
        t.regex(lines[index - 1] ?? "", /^ *# \S/, `above "${line}"`);
    t.is(text.match(/yaml-language-server/g)?.length, 1);
  });

test("the comments are the schema's descriptions, and every key that is left out is listed", (t) => {
  const { text } = textFor("kubelet");
  const flat = text.replace(/\n *# /g, " ");
  t.true(flat.includes(experimentSchema.shape.attack.description ?? "none"));
  t.regex(
    flat,
    /Which nodes: one \(the node of the application's database, or the one with most pods of an existing application: the worst case\), all/,
  );
  t.regex(flat, /Stops the component's systemd unit/, "of the attack that is chosen");
  t.notRegex(flat, /Deletes the workload/);
  for (const key of ["churn", "application", "probes", "abortWhen", "thresholds"])
    t.regex(text, new RegExp(`^# - ${key}: \\S.*\\.$`, "m"));
  t.notRegex(text, /^# - (phases|attack|target):/m);
});

test("a text of the cluster stays in its comment, whatever characters it has", (t) => {
  const { template, text } = textFor("kube-dns", [
    "restored by x\nattack: {type: none}\r\n\u2028metadata: {name: evil}\u0000\u001b[2J\u0085target: {}",
  ]);
  t.deepEqual(parse(text), parse(template));
  t.true("experiment" in parseExperiment(text, "x.yaml"));
});
