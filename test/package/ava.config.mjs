// What npm would publish, installed. The first run downloads three versions of Node.
export default {
  files: ["test/package/**/*.test.ts"],
  extensions: { ts: "module" },
  nodeArguments: ["--import=tsx"],
  workerThreads: false,
  serial: true,
  timeout: "10m",
  verbose: true,
};
