import test from "ava";
import { ExitCode, UsageError } from "../../../src/common/errors.js";
import { absoluteFrom, userFolder } from "../../../src/common/places.js";

const NO_HOME = /neither XDG_\w+ nor HOME is set\. Set one of them to an absolute path\.$/;

for (const [place, variable, below] of [
  ["state", "XDG_STATE_HOME", ".local/state"],
  ["config", "XDG_CONFIG_HOME", ".config"],
  ["cache", "XDG_CACHE_HOME", ".cache"],
] as const) {
  for (const [what, env, expected] of [
    ["named", { [variable]: "/x", HOME: "/h" }, "/x/kube-system-chaos"],
    ["named, without a home", { [variable]: "/x" }, "/x/kube-system-chaos"],
    ["not named", { HOME: "/h" }, `/h/${below}/kube-system-chaos`],
    ["named by nothing", { [variable]: "", HOME: "/h" }, `/h/${below}/kube-system-chaos`],
    [
      "relative",
      { [variable]: "x", HOME: "/h" },
      new RegExp(`^cannot use ${variable}: "x" is not an absolute`),
    ],
    [
      "the current folder",
      { [variable]: ".", HOME: "/h" },
      /^cannot use XDG_\w+: "\." is not an absolute path/,
    ],
    [
      "not expanded",
      { [variable]: "~/x", HOME: "/h" },
      /^cannot use XDG_\w+: "~\/x" is not an absolute path/,
    ],
    ["below a relative home", { HOME: "h" }, /^cannot use HOME: "h" is not an absolute path/],
    ["without a home", {}, NO_HOME],
    ["without a home, named by nothing", { [variable]: "", HOME: "" }, NO_HOME],
  ] as const) {
    test(`the folder for ${place}, ${what}`, (t) => {
      if (typeof expected === "string") return t.is(userFolder(place, env), expected);
      const error = t.throws(() => userFolder(place, env), { instanceOf: UsageError, message: expected });
      t.is(error.exitCode, ExitCode.usage);
      return t.regex(error.message, /Set .* to an absolute path/);
    });
  }
}

test("a path in a variable must be absolute or empty", (t) => {
  t.is(absoluteFrom({ A: "/a" }, "A"), "/a");
  t.is(absoluteFrom({ A: "" }, "A"), undefined);
  t.is(absoluteFrom({}, "A"), undefined);
  t.throws(() => absoluteFrom({ A: "a" }, "A"), { message: /Set A to an absolute path, or unset it\.$/ });
});
