// Tests on a real cluster: one at a time, each takes minutes.
export default {
  files: ["test/cluster/**/*.test.ts"],
  extensions: { ts: "module" },
  nodeArguments: ["--import=tsx"],
  workerThreads: false,
  concurrency: 1,
  serial: true,
  timeout: "45m",
  verbose: true,
};
