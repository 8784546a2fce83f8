/** What is under the pointer or the cursor, beside it. A screen reader hears the same from the lane. */
import { element } from "./dom.js";

export class Tooltip {
  readonly element = element("div", { class: "tooltip", "aria-hidden": "true", hidden: true });
  readonly #mark = element("div", { class: "cursor", "aria-hidden": "true" });

  /** @param x from the left of the plot, px. */
  show(plot: HTMLElement, x: number, lines: readonly string[]): void {
    const box = this.element.parentElement?.getBoundingClientRect();
    const place = plot.getBoundingClientRect();
    if (box === undefined) return;
    this.element.replaceChildren(
      ...lines.map((line, index) => element("div", { class: index === 0 ? "name" : "line" }, line)),
    );
    this.element.hidden = false;
    const at = place.left - box.left + Math.min(place.width, Math.max(0, x));
    const { width, height } = this.element.getBoundingClientRect();
    const left = Math.min(box.width - width - 4, Math.max(4, at - width / 2));
    const above = place.top - box.top - height - 8;
    // Above the lane, or below it where the screen has no room.
    const top = place.top - height - 8 < 0 ? place.bottom - box.top + 8 : above;
    this.element.style.left = `${left}px`;
    this.element.style.top = `${top}px`;
    this.#mark.style.left = `${Math.min(place.width, Math.max(0, x))}px`;
    if (this.#mark.parentElement !== plot) plot.append(this.#mark);
  }

  hide(): void {
    this.element.hidden = true;
    this.#mark.remove();
  }
}
