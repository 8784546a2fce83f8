/** What a run needs from the monitor of its target: a TargetWatch or a NodeTargetWatch. */
export interface TargetMonitor {
  /** Whether the target is ready, as last observed. */
  isTargetReady(): boolean;
  /** Ready addresses over all Services of the target; undefined when it has no Service. */
  readonly endpointsReady: number | undefined;
  /**
   * Starts monitoring.
   *
   * @returns `synced`: resolves when everything was read once. `done`: resolves when the signal has ended it, rejects
   * when it cannot continue.
   */
  start(): { readonly synced: Promise<void>; readonly done: Promise<void> };
}
