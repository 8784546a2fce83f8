/** What a run asks of whatever looks at its target: a TargetWatch or a NodeTargetWatch. */
export interface TargetMonitor {
  /** Whether the target is as wanted, as far as it is known at this moment. */
  isTargetReady(): boolean;
  /** Ready addresses over all Services of the target; undefined when it has no Service. */
  readonly endpointsReady: number | undefined;
  /**
   * Starts looking.
   *
   * @returns `synced`: resolves when everything was seen once; `done`: when the signal has ended it, rejects when it
   * can not go on.
   */
  start(): { readonly synced: Promise<void>; readonly done: Promise<void> };
}
