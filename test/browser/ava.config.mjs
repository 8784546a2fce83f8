// Tests in Chromium: one browser, so one after the other.
export default {
  files: ["test/browser/**/*.test.ts"],
  extensions: { ts: "module" },
  nodeArguments: ["--import=tsx"],
  workerThreads: false,
  concurrency: 1,
  serial: true,
  timeout: "5m",
  verbose: true,
};
