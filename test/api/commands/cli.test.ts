/** The command line as a process: exit codes, closed pipes, full devices, and what it leaves behind. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { LOCK_PATH } from "../../../src/safety/lock/lease.js";
import { chaos, CLI, emptyMachine, type Sink } from "../../helpers/cli.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { kubeconfigOf } from "../../helpers/kubeconfig.js";
import { putKubeDns, serve, writes } from "../../helpers/target-fixtures.js";

interface Place {
  readonly server: FakeApiServer;
  readonly cwd: string;
  readonly env: Record<string, string>;
}

const KIND = { providerID: "kind://docker/x/worker-1" };

/** An empty machine whose kubeconfig leads to a cluster with kube-dns. */
async function place(t: ExecutionContext, spec: object = KIND): Promise<Place> {
  const { server } = await serve(t);
  putKubeDns(server);
  server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  server.put("/api/v1/nodes", {
    metadata: { name: "worker-1" },
    spec,
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const machine = await emptyMachine(t);
  const KUBECONFIG = await kubeconfigOf(machine.cwd, server.url);
  return { server, cwd: machine.cwd, env: { ...machine.env, KUBECONFIG } };
}

const STACK = /^\s+at |Error:|node:internal/m;

/** One message on stderr, without a stack. */
function oneLine(t: ExecutionContext, stderr: string, expected: RegExp): void {
  t.regex(stderr, expected);
  t.notRegex(stderr, STACK);
  t.is(stderr.trimEnd().split("\n").length, 1, stderr);
}

const COMMANDS: readonly (readonly [code: number, sinks: readonly Sink[], ...args: string[]])[] = [
  [0, ["closed"], "--help"],
  [0, ["closed", "full"], "schema"],
  [3, ["closed"], "validate", "no-such-experiment"],
  [0, ["closed"], "rbac", "kube-dns"],
  [0, ["closed"], "run", "kube-dns", "--dry-run"],
  [0, ["closed", "full"], "--json", "run", "kube-dns", "--dry-run"],
  [0, ["full"], "restore"],
  [3, ["closed"], "report", "nowhere"],
];
const onLinux = process.platform === "linux" ? test : test.skip;

for (const [code, sinks, ...args] of COMMANDS) {
  for (const sink of sinks) {
    onLinux(`chaos ${args.join(" ")} with its output ${sink}: ends with ${code}`, async (t) => {
      const at = await place(t);
      const ended = await chaos(args, { ...at, stdout: sink });
      t.is(ended.code, code, ended.stderr);
      t.notRegex(ended.stderr, STACK);
      if (args[0] !== "run") return;
      t.is((await chaos(args, { ...at, stdout: sink, stderr: sink })).code, code);
    });
  }
}

onLinux("a terminal that closes during a run: it is restored, and ends with 130", async (t) => {
  const at = await place(t);
  const ended = await chaos(["run", "kube-dns", "--no-watchdog"], {
    ...at,
    stdout: "closed",
    stderr: "closed",
    started: (child) =>
      at.server.handle("POST", /leases$/, () => {
        child.kill("SIGHUP");
        return undefined;
      }),
  });
  t.is(ended.code, 130);
  t.is(at.server.object(LOCK_PATH), undefined);
  t.is(at.server.object("/api/v1/namespaces/kube-system-chaos"), undefined);
});

onLinux("interrupted while the API server does not answer: 130, and the cluster is not blamed", async (t) => {
  const at = await place(t);
  const ended = await chaos(["run", "kube-dns"], {
    ...at,
    started: (child) =>
      at.server.handle("GET", /^\/version/, () => {
        child.kill("SIGTERM");
        return { status: 503, body: {} };
      }),
  });
  t.is(ended.code, 130, ended.stderr);
  t.regex(ended.stderr, /SIGTERM: stopping/);
  t.regex(ended.stderr, /chaos: interrupted before anything was changed/);
});

/** The API server takes the request and never answers. */
const never = async (): Promise<undefined> => await new Promise(() => undefined);

for (const [what, method, path] of [
  ["the first request", "GET", /^\/version/],
  ["the list of nodes", "GET", /^\/api\/v1\/nodes/],
  ["the permissions", "POST", /selfsubjectaccessreviews/],
] as const)
  onLinux(`interrupted while ${what} hangs: ends at once with 130, and leaves nothing`, async (t) => {
    const at = await place(t);
    const before = await readdir(at.cwd, { recursive: true });
    let interruptedAt = 0;
    const ended = await chaos(["run", "kube-dns"], {
      ...at,
      started: (child) =>
        at.server.handle(method, path, async () => {
          if (interruptedAt === 0) child.kill("SIGINT");
          interruptedAt ||= performance.now();
          return await never();
        }),
    });
    t.is(ended.code, 130, ended.stderr);
    t.regex(ended.stderr, /SIGINT: stopping\n.*interrupted before anything was changed in the cluster\n/);
    t.true(performance.now() - interruptedAt < 5_000, "without the request's time limit of 10 s");
    t.deepEqual(await readdir(at.cwd, { recursive: true }), before);
    t.deepEqual(
      writes(at.server).filter((each) => !each.path.includes("selfsubjectaccessreviews")),
      [],
    );
  });

for (const [args, code, words] of [
  [["restore"], 130, /interrupted before anything was changed/],
  [["restore", "run-1"], 5, /a later Ctrl-C ends this[^]*ended before it was done.*`chaos restore run-1`/],
] as const)
  onLinux(`chaos ${args.join(" ")}: while the API server hangs, Ctrl-C ends it with ${code}`, async (t) => {
    const at = await place(t);
    let asked = false;
    const ended = await chaos([...args, "--context", "fake"], {
      ...at,
      started: (child) =>
        at.server.handle("GET", /./, async () => {
          if (!asked) {
            child.kill("SIGINT");
            // A Ctrl-C right after the first one was pressed in a hurry.
            if (code === 5) setTimeout(() => child.kill("SIGINT"), 2_100);
          }
          asked = true;
          return await never();
        }),
    });
    t.is(ended.code, code, ended.stderr);
    t.regex(ended.stderr, words);
  });

onLinux("credentials that expire in preflight: said so, with what to do, 4", async (t) => {
  const at = await place(t);
  const body = {
    kind: "Status",
    status: "Failure",
    reason: "Unauthorized",
    message: "Unauthorized",
    code: 401,
  };
  at.server.handle("GET", /deployments/, () => ({ status: 401, body }));
  const ended = await chaos(["run", "kube-dns", "--dry-run"], at);
  t.is(ended.code, 4, ended.stderr);
  t.regex(ended.stderr, /revoked or have expired\. Sign in again.*Nothing was changed/);
});

onLinux("interrupted while the credential plugin waits for a sign-in: the plugin ends, 130", async (t) => {
  const at = await place(t);
  const pid = join(at.cwd, "plugin.pid");
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "/bin/sh",
    args: ["-c", `echo $$ > ${pid}; exec /bin/sleep 600`],
    interactiveMode: "Never",
  };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "fake",
    contexts: [{ name: "fake", context: { cluster: "c", user: "u" } }],
    clusters: [{ name: "c", cluster: { server: at.server.url } }],
    users: [{ name: "u", user: { exec } }],
  };
  const KUBECONFIG = join(at.cwd, "plugin.yaml");
  await writeFile(KUBECONFIG, JSON.stringify(config));
  let interruptedAt = 0;
  const ended = await chaos(["run", "kube-dns"], {
    ...at,
    env: { ...at.env, KUBECONFIG },
    started: (child) => {
      const wait = setInterval(() => {
        if (!existsSync(pid)) return;
        clearInterval(wait);
        interruptedAt = performance.now();
        child.kill("SIGINT");
      }, 50);
    },
  });
  t.is(ended.code, 130, ended.stderr);
  t.true(performance.now() - interruptedAt < 5_000);
  t.false(existsSync(`/proc/${(await readFile(pid, "utf8")).trim()}`), "the plugin has ended");
});

onLinux(
  "interrupted in the deployment: what was created is removed, and nothing was taken down",
  async (t) => {
    const at = await place(t);
    const ended = await chaos(["run", "kube-dns", "--no-watchdog"], {
      ...at,
      started: (child) =>
        at.server.handle("POST", /guestbook\/deployments$/, () => {
          child.kill("SIGINT");
          return undefined;
        }),
    });
    t.is(ended.code, 130, ended.stderr);
    t.notRegex(ended.stderr + ended.stdout, /before anything was changed|Nothing was changed/);
    t.regex(ended.stderr + ended.stdout, /Nothing was taken down/);
    for (const name of ["guestbook", "kube-system-chaos"])
      t.is(at.server.object(`/api/v1/namespaces/${name}`), undefined, name);
    t.is(at.server.object(LOCK_PATH), undefined);
  },
);

test("a dry run leaves nothing: no folder, no object, no lock", async (t) => {
  const at = await place(t);
  const before = await readdir(at.cwd, { recursive: true });
  for (const args of [
    ["run", "kube-dns", "--dry-run"],
    ["run", "kube-dns", "metrics-server", "--dry-run"],
    ["restore", "--all", "--dry-run"],
    ["restore", "--all", "--dry-run", "--context", "fake"],
  ])
    await chaos(args, at);
  t.deepEqual(await readdir(at.cwd, { recursive: true }), before);
  t.deepEqual(writes(at.server), []);
});

test("a refused run leaves no folder of reports", async (t) => {
  const at = await place(t, {});
  const before = await readdir(at.cwd, { recursive: true });
  t.is((await chaos(["run", "kube-dns"], at)).code, 4);
  t.deepEqual(await readdir(at.cwd, { recursive: true }), before);
});

for (const args of [[], ["--cluster", "kind"], ["--cluster", "lab"]])
  test(`a dry run with nothing configured${args.map((each) => ` ${each}`).join("")}: exit 4, and no cluster`, async (t) => {
    const machine = await emptyMachine(t);
    const ended = await chaos(["run", "kube-dns", "--dry-run", ...args], machine);
    t.is(ended.code, 4, ended.stderr);
    oneLine(
      t,
      ended.stderr,
      /^chaos: no cluster to look at: no .*What only looks creates none: .*`chaos cluster up --cluster (kind|lab)`/,
    );
    t.deepEqual(await readdir(machine.cwd), []);
  });

test("a cluster that nothing shows to be local: refused, and the printed command runs on it", async (t) => {
  // A production cluster of bare machines behind a tunnel: the API server is on loopback, its nodes are elsewhere.
  const at = await place(t, {});
  for (const index of [1, 2, 3, 4])
    at.server.put("/api/v1/nodes", {
      metadata: { name: `prod-node-${index}` },
      status: { addresses: [{ type: "InternalIP", address: `10.20.30.${index}` }] },
    });
  const args = ["run", "kube-dns", "--dry-run", "--reports", "it's here"];
  const refused = await chaos(args, at);
  t.is(refused.code, 4);
  t.regex(
    refused.stderr,
    /nothing shows that the nodes run on this machine: .*prod-node-1 \(10\.20\.30\.1\).* and 2 more/,
  );
  const command = /name and confirm it: (.*)$/m.exec(refused.stderr)?.[1] ?? "";
  t.regex(
    command,
    /^KUBECONFIG=\S+ \S+ \S*cli\.js run kube-dns --dry-run --reports 'it'\\''s here' --context fake --yes$/,
  );
  const pasted = execAsync(command, at);
  t.regex(await pasted, /not a local cluster: .* It was named and confirmed/);
  t.deepEqual(writes(at.server), []);
  t.true(command.includes(CLI));
});

/** Runs a line of a shell without the variable that the line itself sets. */
async function execAsync(line: string, { cwd, env }: Place): Promise<string> {
  const { HOME = "", PATH = "" } = env;
  const { execa } = await import("execa");
  const { stdout, stderr } = await execa("/bin/sh", ["-c", line], {
    cwd,
    env: { HOME, PATH },
    extendEnv: false,
  });
  return stdout + stderr;
}

for (const [what, make, expected] of [
  [
    "below /proc",
    async () => await Promise.resolve("/proc/no-such-folder/x"),
    /: no folder can be created in \/proc\. Nothing/,
  ],
  [
    "below a file",
    async (cwd: string) => {
      await writeFile(join(cwd, "file"), "");
      return "file/reports";
    },
    /: a part of its path is a file, not a folder\. Nothing/,
  ],
  [
    "that is a broken link",
    async (cwd: string) => {
      await symlink("nowhere", join(cwd, "link"));
      return "link";
    },
    /folder (\S*link)\/\S+: \1 is a broken link, not a folder\. Nothing/,
  ],
] as const)
  onLinux(`a folder of reports ${what}: exit 6, nothing was changed`, async (t) => {
    const at = await place(t);
    const { code, stderr } = await chaos(["run", "kube-dns", "--reports", await make(at.cwd)], at);
    t.is(code, 6, stderr);
    t.regex(stderr, /cannot write the report folder .*Nothing was changed\. Name another one with --reports/);
    t.regex(stderr, expected);
    t.notRegex(stderr, STACK);
    t.deepEqual(writes(at.server), []);
  });

test("a state folder that is a file: restore says so with exit 3, a run changes nothing", async (t) => {
  const at = await place(t);
  await writeFile(join(at.cwd, "file"), "");
  const env = { ...at.env, XDG_STATE_HOME: join(at.cwd, "file") };
  for (const args of [["restore"], ["restore", "--all"]]) {
    const ended = await chaos(args, { ...at, env });
    t.is(ended.code, 3);
    oneLine(t, ended.stderr, /^chaos: cannot read the journals of runs in .*set XDG_STATE_HOME/);
  }
  const ended = await chaos(["run", "kube-dns"], { ...at, env });
  t.is(ended.code, 3);
  t.deepEqual(writes(at.server), []);
});

for (const [args, code, expected] of [
  [["report", "file"], 3, /file is not a folder/],
  [["report", "empty"], 3, /no run\.json in empty/],
  [["matrix"], 3, /no results of runs in reports\. Name a folder of reports/],
  [["restore", "run-1", "--all"], 3, /name a run, or --all/],
  [["restore", ""], 3, /the run has no name/],
  [["run", "kube-dns", "--config", "nowhere"], 3, /nowhere/],
  [["run", "kube-dns", "--kubeconfig", "nowhere"], 3, /nowhere/],
  [["run", "kube-dns", "--context", "nowhere"], 3, /nowhere/],
  [["restore", "run-1"], 3, /^chaos: no unfinished run run-1$/m],
  [["cluster", "up", "--cluster", "kind"], 4, /kind was not found on PATH/],
  [["cluster", "up"], 3, /no provider's cluster is running/],
] as const)
  test(`chaos ${args.join(" ")}: exit ${code}, without a stack`, async (t) => {
    const at = await place(t);
    await writeFile(join(at.cwd, "file"), "x");
    await mkdir(join(at.cwd, "empty"));
    await mkdir(join(at.cwd, "reports"));
    const ended = await chaos(args, at);
    t.is(ended.code, code, ended.stderr);
    t.regex(ended.stderr, expected);
    t.notRegex(ended.stderr, STACK);
  });

for (const [args, code] of [
  [["restore", "--context", "fake"], 4],
  [["restore", "--all", "--context", "fake"], 4],
  [["restore", "--all", "--dry-run", "--context", "fake"], 4],
  [["cluster", "status", "--context", "fake"], 4],
  [["run", "kube-dns"], 4],
] as const)
  test(`chaos ${args.join(" ")} without an answer of the API server: exit ${code}, one line`, async (t) => {
    const at = await place(t);
    at.server.fault({ kind: "status", status: 403, reason: "Forbidden", times: Infinity });
    const ended = await chaos(args, at);
    t.is(ended.code, code, ended.stderr);
    oneLine(t, ended.stderr, /403/);
  });

test("cluster status looks for the add-ons with the KUBECONFIG that led to the cluster", async (t) => {
  const ended = await chaos(["cluster", "status", "--context", "fake"], await place(t));
  t.is(ended.code, 0, ended.stderr);
  t.regex(ended.stdout, /context fake: answers\n *study add-ons: not installed/);
});

for (const body of [{}, [], null, { gitVersion: 5 }])
  test(`another program that answers ${JSON.stringify(body)} to everything is no API server: exit 4`, async (t) => {
    const at = await place(t);
    at.server.handle("GET", /./, () => ({ body: JSON.stringify(body) }));
    for (const args of [
      ["run", "kube-dns"],
      ["restore", "--context", "fake"],
      ["cluster", "status", "--context", "fake"],
    ]) {
      const ended = await chaos(args, at);
      t.is(ended.code, 4, ended.stderr);
      oneLine(t, ended.stderr, /is not an API server: JSON that is no /);
    }
  });
