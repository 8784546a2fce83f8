/** The part of the run that is shown, and what the pointer, the wheel and fingers do to it. */

/** The closest zoom, ms. */
const LEAST_MS = 500;
/** A shorter drag is a click, px. */
const LEAST_DRAG = 6;

export class ViewRange {
  readonly #wholeFromMs: number;
  readonly #wholeToMs: number;
  readonly #changed: () => void;
  #fromMs: number;
  #toMs: number;

  constructor(fromMs: number, toMs: number, changed: () => void) {
    [this.#wholeFromMs, this.#wholeToMs] = [fromMs, toMs];
    [this.#fromMs, this.#toMs] = [fromMs, toMs];
    this.#changed = changed;
  }

  get fromMs(): number {
    return this.#fromMs;
  }

  get toMs(): number {
    return this.#toMs;
  }

  /** The time at a share of the width. */
  at(share: number): number {
    return this.#fromMs + Math.min(1, Math.max(0, share)) * (this.#toMs - this.#fromMs);
  }

  /** Stays within the run, and its length too. */
  set(fromMs: number, toMs: number): void {
    const whole = this.#wholeToMs - this.#wholeFromMs;
    const span = Math.min(whole, Math.max(Math.min(LEAST_MS, whole), toMs - fromMs));
    const from = Math.min(this.#wholeToMs - span, Math.max(this.#wholeFromMs, (fromMs + toMs - span) / 2));
    [this.#fromMs, this.#toMs] = [from, from + span];
    this.#changed();
  }

  reset(): void {
    this.set(this.#wholeFromMs, this.#wholeToMs);
  }

  /** @param factor under 1: closer. `aroundMs` keeps its place. */
  zoom(factor: number, aroundMs: number): void {
    const around = Math.min(this.#toMs, Math.max(this.#fromMs, aroundMs));
    this.set(around - (around - this.#fromMs) * factor, around + (this.#toMs - around) * factor);
  }

  /** @param share of what is shown. */
  pan(share: number): void {
    const by = (this.#toMs - this.#fromMs) * share;
    this.set(this.#fromMs + by, this.#toMs + by);
  }

  centre(tMs: number): void {
    const half = (this.#toMs - this.#fromMs) / 2;
    this.set(tMs - half, tMs + half);
  }

  /** Moves so that a time is shown. */
  include(tMs: number): void {
    if (tMs < this.#fromMs || tMs > this.#toMs) this.centre(tMs);
  }

  listen(plot: HTMLElement): void {
    const share = (clientX: number): number => {
      const { left, width } = plot.getBoundingClientRect();
      return (clientX - left) / width;
    };
    plot.addEventListener(
      "wheel",
      (event) => {
        // A wheel alone scrolls the page. Browsers send a pinch on a touchpad as a wheel with Ctrl.
        const sideways = event.shiftKey ? event.deltaY : event.deltaX;
        if (event.ctrlKey || event.metaKey)
          this.zoom(Math.exp(event.deltaY * 0.004), this.at(share(event.clientX)));
        else if (Math.abs(sideways) > Math.abs(event.shiftKey ? event.deltaX : event.deltaY))
          this.pan(sideways / plot.clientWidth);
        else return;
        event.preventDefault();
      },
      { passive: false },
    );
    this.#drag(plot, share);
    plot.addEventListener("dblclick", () => this.reset());
  }

  /** The mouse selects a time; one finger moves, two fingers zoom. */
  #drag(plot: HTMLElement, share: (clientX: number) => number): void {
    const fingers = new Map<number, number>();
    let start: { x: number; fromMs: number; toMs: number; moved: boolean } | undefined;
    const selection = document.createElement("div");
    selection.className = "selection";
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      fingers.set(event.pointerId, event.clientX);
      start = { x: event.clientX, fromMs: this.#fromMs, toMs: this.#toMs, moved: false };
    });
    plot.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (before === undefined || start === undefined) return;
      const { left, width } = plot.getBoundingClientRect();
      if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1] ?? before;
        const spread = Math.max(10, Math.abs(event.clientX - other));
        this.zoom(
          Math.max(10, Math.abs(before - other)) / spread,
          this.at(share((event.clientX + other) / 2)),
        );
        start.moved = true;
      } else if (event.pointerType === "mouse") {
        if (Math.abs(event.clientX - start.x) < LEAST_DRAG) return;
        if (!start.moved) plot.setPointerCapture(event.pointerId);
        start.moved = true;
        const [from, to] = [Math.min(start.x, event.clientX), Math.max(start.x, event.clientX)];
        selection.style.left = `${Math.max(0, from - left)}px`;
        selection.style.width = `${Math.min(width, to - left) - Math.max(0, from - left)}px`;
        plot.append(selection);
      } else {
        this.pan((before - event.clientX) / width);
      }
      fingers.set(event.pointerId, event.clientX);
    });
    const end = (event: PointerEvent): void => {
      fingers.delete(event.pointerId);
      selection.remove();
      if (start?.moved === true && event.pointerType === "mouse" && event.type === "pointerup") {
        const times = [this.at(share(start.x)), this.at(share(event.clientX))].sort((a, b) => a - b);
        this.set(times[0] ?? 0, times[1] ?? 0);
      }
      if (fingers.size === 0) start = undefined;
    };
    plot.addEventListener("pointerup", end);
    plot.addEventListener("pointercancel", end);
  }
}
