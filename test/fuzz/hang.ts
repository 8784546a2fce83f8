import { Worker } from "node:worker_threads";

/** An input that takes this long counts as endless, ms. */
const HANG_MS = 20_000;

/**
 * An endless loop blocks this thread, so another thread reports it and ends the process.
 *
 * @param how the options that repeat the inputs.
 */
export function watchForHang(how: string): { now: (input: number) => void; end: () => Promise<number> } {
  const current = new Int32Array(new SharedArrayBuffer(4));
  const watch = new Worker(
    `const { workerData: { current, how, limitMs } } = require("node:worker_threads");
     let last = -1;
     setInterval(() => {
       if (current[0] === last) {
         const again = how + " --from " + last + " --inputs 1";
         require("node:fs").writeSync(2, "input " + last + " does not end. Again: " + again + "\\n");
         process.kill(process.pid, "SIGKILL");
       }
       last = current[0];
     }, limitMs);`,
    { eval: true, workerData: { current, how, limitMs: HANG_MS } },
  );
  watch.unref();
  return { now: (input) => void (current[0] = input), end: async () => await watch.terminate() };
}
