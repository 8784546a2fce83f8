/**
 * The timeline: lanes that can be zoomed, filtered and read. Each lane is a slider: the arrow keys move from sample to sample,
 * and its value is the sample in words, so a screen reader says what the pointer shows.
 */
import { percent } from "../../../common/figures.js";
import type { PageData } from "../data.js";
import { clockText, LaneView, type Range, troubles } from "../lane-view.js";
import { element, setAll, shape } from "./dom.js";
import { backdrop, drawEvents, drawLane, HEIGHT, type PageEvents, xOf } from "./plot.js";
import { Tooltip } from "./tooltip.js";
import { ViewRange } from "./range.js";

/** Width of what is described at once while samples are drawn together, px. */
const TOGETHER = 6;
/** Rows of the list of failed and slow samples. */
const MOST_LISTED = 200;
/** The axis. */
const AXIS = 34;
/** Marks that are named at once. */
const MOST_NAMED = 5;

/** One row of the chart. */
interface Row {
  readonly name: string;
  readonly element: HTMLElement;
  readonly plot: HTMLElement;
  readonly svg: SVGElement;
  readonly view: LaneView | null;
  readonly events: PageEvents | null;
}

/** What is under the cursor. */
interface Item {
  readonly fromMs: number;
  readonly toMs: number;
  readonly lines: readonly string[];
}

const LEGEND: readonly (readonly [string, string])[] = [
  ["good", "good"],
  ["slow", "slow"],
  ["no-answer", "no answer (timeout)"],
  ["no-connection", "no connection"],
  ["no-name", "no name"],
  ["wrong-answer", "wrong answer"],
  ["other", "other failure"],
  ["missed", "missed tick"],
];

const HELP =
  "Zoom: drag over a time, pinch, Ctrl + wheel, or + and −. Move: Shift + wheel. On a lane: ← → sample by sample, ↑ ↓ lane by lane, " +
  "n and p to the next and previous failed or slow sample, Enter shows single samples, 0 the whole run.";

/** The common start of the names of all sources is left out when it is long. */
function shortNames(sources: readonly string[]): (source: string) => string {
  const [first = ""] = sources;
  let length = 0;
  while (length < first.length && sources.every((source) => source[length] === first[length])) length += 1;
  const dash = first.slice(0, length).lastIndexOf("-") + 1;
  return (source) => (dash < 8 || sources.length < 2 ? source : `…${source.slice(dash)}`);
}

export class Chart {
  readonly element = element("div", { class: "chart" });
  readonly #data: PageData;
  readonly #rows: Row[] = [];
  readonly #range: ViewRange;
  readonly #tooltip = new Tooltip();
  readonly #axis = shape("svg", { class: "axis", "aria-hidden": "true", height: AXIS });
  readonly #overview = shape("svg", { class: "overview", "aria-hidden": "true", height: 22 });
  readonly #lanes = element("div", { class: "lanes" });
  readonly #status = element("p", { class: "status faint", role: "status" });
  readonly #list = element("tbody");
  readonly #filters = { probe: "", source: "", failing: false, others: false };
  #width = 600;
  #cursorMs: number;
  #drawing = false;

  constructor(data: PageData) {
    this.#data = data;
    this.#range = new ViewRange(data.fromMs, data.toMs, () => this.#draw());
    this.#cursorMs = data.zeroMs;
    this.#build();
  }

  /** Call this when the element is in the page. */
  start(): void {
    const observer = new ResizeObserver(() => {
      const width = Math.floor(this.#axis.getBoundingClientRect().width);
      if (width < 40 || width === this.#width) return;
      this.#width = width;
      this.#draw();
    });
    observer.observe(this.#axis);
    this.#filter();
  }

  #build(): void {
    const { lanes, events } = this.#data;
    const views = lanes.map((lane) => new LaneView(lane));
    const runner = "runner";
    const short = shortNames(
      [...new Set(lanes.map(({ source }) => source))].filter((name) => name !== runner),
    );
    for (const probe of new Set(lanes.map((lane) => lane.probe))) {
      const group = element("div", { class: "group" }, element("div", { class: "probe" }, probe));
      for (const view of views.filter(({ lane }) => lane.probe === probe)) {
        const { source, availability } = view.lane;
        const label = source === runner ? source : short(source);
        this.#addRow(group, { name: view.name, label, figure: percent(availability), view, events: null });
      }
      this.#lanes.append(group);
    }
    const below = element(
      "div",
      { class: "group below" },
      element("div", { class: "probe" }, "what happened"),
    );
    for (const each of events) {
      const most = each.steps.length === 0 ? "" : `max ${Math.max(...each.steps.map(([, count]) => count))}`;
      const figure = most === "" ? String(each.marks.length) : most;
      this.#addRow(below, { name: each.label, label: each.label, figure, view: null, events: each });
    }
    if (events.length > 0) this.#lanes.append(below);
    const head = element(
      "div",
      { class: "head row" },
      element("span", {}, ""),
      this.#axis,
      element("span", { class: "figure" }, "good"),
    );
    this.element.append(
      this.#patterns(),
      this.#toolbar(views),
      this.#legend(),
      element(
        "div",
        { class: "row strip" },
        element("span", { class: "label" }, "whole run"),
        this.#overview,
        element("span"),
      ),
      element("div", { class: "canvas" }, head, this.#lanes, this.#tooltip.element),
      this.#status,
      element("p", { class: "faint help", id: "keys" }, HELP),
      this.#listed(),
    );
    this.#drawOverview(views);
    this.#overview.addEventListener("pointerdown", (event) => this.#jump(event));
    this.#overview.addEventListener("pointermove", (event) => {
      if (event.buttons === 1) this.#jump(event);
    });
    const [first] = this.#rows;
    if (first !== undefined) first.plot.tabIndex = 0;
  }

  #addRow(
    group: HTMLElement,
    {
      name,
      label,
      figure,
      view,
      events,
    }: Pick<Row, "name" | "view" | "events"> & { label: string; figure: string },
  ): void {
    const svg = shape("svg", { "aria-hidden": "true", height: HEIGHT });
    const plot = element(
      "div",
      {
        class: "plot",
        role: "slider",
        tabindex: -1,
        "aria-label": name,
        "aria-describedby": "keys",
        "aria-valuemin": Math.round((this.#data.fromMs - this.#data.zeroMs) / 1000),
        "aria-valuemax": Math.round((this.#data.toMs - this.#data.zeroMs) / 1000),
        "aria-valuenow": 0,
        "aria-valuetext": `${figure === "—" ? "" : `${figure} good in the window; `}use the arrow keys`,
      },
      svg,
    );
    const low = view !== null && (view.lane.availability ?? 1) < 0.5;
    const row = element(
      "div",
      { class: "row" },
      element("span", { class: "label", title: name }, label),
      plot,
      element("span", { class: low ? "figure low" : "figure" }, figure),
    );
    group.append(row);
    const made: Row = { name, element: row, plot, svg, view, events };
    this.#rows.push(made);
    this.#listen(made);
  }

  #listen(row: Row): void {
    const { plot } = row;
    const timeAt = (event: MouseEvent): number => {
      const { left, width } = plot.getBoundingClientRect();
      return this.#range.at((event.clientX - left) / width);
    };
    plot.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && event.buttons === 0) this.#show(row, timeAt(event));
    });
    plot.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && document.activeElement !== plot) this.#tooltip.hide();
    });
    plot.addEventListener("click", (event) => {
      this.#cursorMs = timeAt(event);
      this.#focus(row);
    });
    plot.addEventListener("focus", () => this.#show(row, this.#cursorMs));
    plot.addEventListener("blur", () => this.#tooltip.hide());
    plot.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && this.#key(row, event.key))
        event.preventDefault();
    });
    this.#range.listen(plot);
  }

  /** @returns whether the key was used. */
  #key(row: Row, key: string): boolean {
    const keys: Readonly<Record<string, () => void>> = {
      ArrowRight: () => this.#step(row, 1),
      ArrowLeft: () => this.#step(row, -1),
      PageDown: () => this.#step(row, 10),
      PageUp: () => this.#step(row, -10),
      ArrowDown: () => this.#lane(row, 1),
      ArrowUp: () => this.#lane(row, -1),
      Home: () => this.#moveTo(row, this.#data.fromMs),
      End: () => this.#moveTo(row, this.#data.toMs - 1),
      n: () => this.#toTrouble(row, 1),
      p: () => this.#toTrouble(row, -1),
      Enter: () => this.#closer(row),
      "+": () => this.#range.zoom(0.5, this.#cursorMs),
      "=": () => this.#range.zoom(0.5, this.#cursorMs),
      "-": () => this.#range.zoom(2, this.#cursorMs),
      "0": () => this.#range.reset(),
      Escape: () => this.#tooltip.hide(),
    };
    keys[key]?.();
    return keys[key] !== undefined;
  }

  /** The times at which something begins in a row. */
  #times({ view, events }: Row): readonly number[] {
    return view?.lane.tMs ?? events?.marks.map(([fromMs]) => fromMs) ?? [];
  }

  /** Moves by samples, or while these are drawn together, by what is described together. */
  #step(row: Row, by: number): void {
    const times = this.#times(row);
    const { fromMs, toMs } = this.#itemAt(row, this.#cursorMs);
    if (by > 0) {
      const next = times.findIndex((tMs) => tMs >= toMs && tMs > this.#cursorMs);
      if (next !== -1) this.#moveTo(row, times[Math.min(times.length - 1, next + by - 1)] ?? toMs);
    } else {
      const before = times.findLastIndex((tMs) => tMs < fromMs);
      if (before !== -1) this.#moveTo(row, times[Math.max(0, before + by + 1)] ?? fromMs);
    }
  }

  #toTrouble(row: Row, step: 1 | -1): void {
    const { view } = row;
    if (view === null) return this.#step(row, step);
    const index = view.trouble(view.indexAt(this.#cursorMs), step);
    if (index !== -1) this.#moveTo(row, view.lane.tMs[index] ?? this.#cursorMs);
  }

  #moveTo(row: Row, tMs: number): void {
    this.#cursorMs = tMs;
    this.#range.include(tMs);
    this.#show(row, tMs);
  }

  /** Zooms in until every sample is drawn on its own. */
  #closer(row: Row): void {
    const { view } = row;
    if (view === null) return;
    for (let step = 0; step < 20 && !view.isRaw(this.#range, this.#width); step += 1)
      this.#range.zoom(0.5, this.#cursorMs);
    this.#show(row, this.#cursorMs);
  }

  #lane(row: Row, by: 1 | -1): void {
    const shown = this.#rows.filter((each) => !each.element.hidden);
    const next = shown[shown.indexOf(row) + by];
    if (next !== undefined) this.#focus(next);
  }

  /** One lane is reached by Tab: the one that had the focus. */
  #focus(row: Row): void {
    for (const each of this.#rows) each.plot.tabIndex = each === row ? 0 : -1;
    if (document.activeElement === row.plot) this.#show(row, this.#cursorMs);
    else row.plot.focus();
  }

  #itemAt({ view, events }: Row, tMs: number): Item {
    const perPixel = (this.#range.toMs - this.#range.fromMs) / this.#width;
    if (view === null) return this.#marksAt(events, tMs, perPixel);
    const index = view.indexAt(tMs);
    if (index === -1) return { fromMs: tMs, toMs: tMs, lines: ["no samples"] };
    if (!view.isRaw(this.#range, this.#width)) {
      const span = perPixel * TOGETHER;
      const fromMs = this.#data.fromMs + Math.floor((tMs - this.#data.fromMs) / span) * span;
      const item = { fromMs, toMs: fromMs + span };
      return { ...item, lines: view.summarise(item, this.#data) };
    }
    const fromMs = view.lane.tMs[index] ?? tMs;
    return {
      fromMs,
      toMs: view.lane.tMs[index + 1] ?? this.#data.toMs,
      lines: view.describe(index, this.#data),
    };
  }

  #marksAt(events: PageEvents | null, tMs: number, perPixel: number): Item {
    const around = perPixel * TOGETHER;
    const near = (events?.marks ?? []).filter(
      ([fromMs, toMs]) => fromMs <= tMs + around && (toMs ?? fromMs) >= tMs - around,
    );
    const count = (events?.steps ?? []).findLast(([at]) => at <= tMs)?.[1];
    const lines = near
      .slice(0, MOST_NAMED)
      .map(([fromMs, , , text]) => `${clockText(this.#data, fromMs)}  ${text}`);
    if (near.length > MOST_NAMED) lines.push(`and ${near.length - MOST_NAMED} more: zoom in`);
    if (count !== undefined) lines.unshift(`${clockText(this.#data, tMs)}  ${count} serving`);
    return {
      fromMs: near[0]?.[0] ?? tMs,
      toMs: (near.at(-1)?.[0] ?? tMs) + 1,
      lines: lines.length === 0 ? [clockText(this.#data, tMs), "nothing here"] : lines,
    };
  }

  #show(row: Row, tMs: number): void {
    const { fromMs, toMs, lines } = this.#itemAt(row, tMs);
    setAll(row.plot, {
      "aria-valuenow": Math.round((tMs - this.#data.zeroMs) / 1000),
      "aria-valuetext": lines.join("; "),
    });
    const x = xOf(
      this.#range,
      this.#width,
      Math.max(this.#range.fromMs, (fromMs + Math.min(toMs, this.#range.toMs)) / 2),
    );
    this.#tooltip.show(row.plot, x, [row.name, ...lines]);
  }

  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#drawNow();
    });
  }

  #drawNow(): void {
    const range = { fromMs: this.#range.fromMs, toMs: this.#range.toMs };
    this.#drawAxis(range);
    for (const { element: row, svg, view, events } of this.#rows) {
      if (row.hidden) continue;
      svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
      if (view !== null) drawLane(svg, view, this.#data, range, this.#width);
      else if (events !== null) drawEvents(svg, events, this.#data, range, this.#width);
    }
    const frame = this.#overview.querySelector(".frame");
    const whole = { fromMs: this.#data.fromMs, toMs: this.#data.toMs };
    if (frame !== null)
      setAll(frame, {
        x: xOf(whole, 1000, range.fromMs),
        width: Math.max(4, xOf(whole, 1000, range.toMs) - xOf(whole, 1000, range.fromMs)),
      });
    const focused = this.#rows.find(({ plot }) => plot === document.activeElement);
    if (focused === undefined) this.#tooltip.hide();
    else this.#show(focused, this.#cursorMs);
    this.#say();
    this.#fillList();
  }

  #drawAxis(range: Range): void {
    const width = this.#width;
    setAll(this.#axis, { viewBox: `0 0 ${width} ${AXIS}` });
    const span = (range.toMs - range.fromMs) / 1000;
    const rough = span / Math.max(2, Math.floor(width / 90));
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? rough;
    const ticks: SVGElement[] = [];
    const zero = this.#data.zeroMs;
    for (let tick = Math.ceil((range.fromMs - zero) / 1000 / step); ; tick += 1) {
      const tMs = zero + tick * step * 1000;
      if (tMs > range.toMs) break;
      const x = xOf(range, width, tMs);
      const text = shape("text", {
        class: "tick",
        x,
        y: 29,
        "text-anchor": x < 16 ? "start" : x > width - 16 ? "end" : "middle",
      });
      text.append(`${Number((tick * step).toFixed(3))} s`.replace("-", "−"));
      ticks.push(shape("path", { class: "rule", d: `M${x} 16v4` }), text);
    }
    const names = this.#data.phases.flatMap(([name, fromMs, toMs]) => {
      const from = Math.max(0, xOf(range, width, fromMs));
      const to = Math.min(width, xOf(range, width, toMs));
      if (to - from < name.length * 7 + 4) return [];
      const text = shape("text", { class: "phase-name", x: (from + to) / 2, y: 12, "text-anchor": "middle" });
      text.append(name);
      return [text];
    });
    this.#axis.replaceChildren(...backdrop(this.#data, range, width, 17), ...ticks, ...names);
  }

  /** Where anything failed, over the whole run. */
  #drawOverview(views: readonly LaneView[]): void {
    const whole = { fromMs: this.#data.fromMs, toMs: this.#data.toMs };
    const counts = Array.from({ length: 250 }, () => 0);
    for (const view of views)
      view.columns(whole, counts.length).forEach((look, column) => {
        if (look !== undefined && !["good", "slow", "missed"].includes(look))
          counts[column] = (counts[column] ?? 0) + 1;
      });
    const most = Math.max(1, ...counts);
    const bars = counts
      .map((count, column) => (count === 0 ? "" : `M${column * 4} 22v${-2 - (18 * count) / most}h4V22z`))
      .join("");
    setAll(this.#overview, { viewBox: "0 0 1000 22", preserveAspectRatio: "none" });
    this.#overview.replaceChildren(
      ...backdrop(this.#data, whole, 1000, 22),
      shape("path", { class: "look no-answer", d: bars }),
      shape("rect", { class: "frame", x: 0, y: 1, width: 1000, height: 20 }),
    );
  }

  #jump(event: PointerEvent): void {
    const { left, width } = this.#overview.getBoundingClientRect();
    const at = this.#data.fromMs + ((event.clientX - left) / width) * (this.#data.toMs - this.#data.fromMs);
    this.#range.centre(at);
  }

  #say(): void {
    const shown = this.#rows.filter(({ element: row, view }) => !row.hidden && view !== null).length;
    const all = this.#rows.filter(({ view }) => view !== null).length;
    const { fromMs, toMs } = this.#range;
    const text = `${clockText(this.#data, fromMs, 1)} to ${clockText(this.#data, toMs, 1)} since ${this.#data.zeroLabel}; ${shown} of ${all} lanes`;
    if (this.#status.textContent !== text) this.#status.textContent = text;
  }

  #filter(): void {
    const { probe, source, failing, others } = this.#filters;
    for (const { element: row, view } of this.#rows) {
      if (view === null) continue;
      const { lane } = view;
      row.hidden =
        (probe !== "" && lane.probe !== probe) ||
        (source !== "" && lane.source !== source) ||
        (failing && !view.troubled) ||
        (lane.other && !others && source !== lane.source);
    }
    for (const group of this.#lanes.querySelectorAll<HTMLElement>(".group"))
      group.hidden = [...group.querySelectorAll<HTMLElement>(".row")].every((row) => row.hidden);
    const reached = this.#rows.find(({ plot, element: row }) => plot.tabIndex === 0 && !row.hidden);
    const first = this.#rows.find(({ element: row }) => !row.hidden);
    for (const row of this.#rows) row.plot.tabIndex = row === (reached ?? first) ? 0 : -1;
    this.#draw();
  }

  #toolbar(views: readonly LaneView[]): HTMLElement {
    const button = (text: string, label: string, act: () => void): HTMLElement => {
      const made = element("button", { type: "button", "aria-label": label, title: label }, text);
      made.addEventListener("click", act);
      return made;
    };
    const middle = (): number => (this.#range.fromMs + this.#range.toMs) / 2;
    const window = this.#data.phases.find(([name]) => name === "window");
    const choice = (label: string, key: "probe" | "source", names: readonly string[]): HTMLElement => {
      const select = element(
        "select",
        {},
        element("option", { value: "" }, `every ${label}`),
        ...names.map((name) => element("option", { value: name }, name)),
      );
      select.addEventListener("change", () => {
        this.#filters[key] = select.value;
        this.#filter();
      });
      return element("label", {}, element("span", { class: "hidden" }, label), select);
    };
    const tick = (label: string, key: "failing" | "others"): HTMLElement => {
      const box = element("input", { type: "checkbox" });
      box.addEventListener("change", () => {
        this.#filters[key] = box.checked;
        this.#filter();
      });
      return element("label", { class: "tick-box" }, box, label);
    };
    const unique = (values: readonly string[]): string[] => [...new Set(values)];
    const others = views.filter(({ lane }) => lane.other).length;
    return element(
      "div",
      { class: "toolbar", role: "group", "aria-label": "Zoom and filter" },
      element(
        "span",
        { class: "buttons" },
        button("−", "Zoom out", () => this.#range.zoom(2, middle())),
        button("+", "Zoom in", () => this.#range.zoom(0.5, middle())),
        button("◂", "Earlier", () => this.#range.pan(-0.5)),
        button("▸", "Later", () => this.#range.pan(0.5)),
        ...(window === undefined
          ? []
          : [button("window", "Zoom to the window", () => this.#range.set(window[1], window[2]))]),
        button("all", "Show all of the run", () => this.#range.reset()),
      ),
      choice("probe", "probe", unique(views.map(({ lane }) => lane.probe))),
      choice("source", "source", unique(views.map(({ lane }) => lane.source))),
      tick("failing only", "failing"),
      ...(others === 0 ? [] : [tick(`and ${others} lanes that are not among the worst`, "others")]),
    );
  }

  #legend(): HTMLElement {
    const used = new Set<string>(this.#rows.flatMap(({ view }) => [...(view?.looks ?? [])]));
    const spans = (key: "outages" | "intermittent" | "stalls"): boolean =>
      this.#data.lanes.some((lane) => lane[key].length > 0);
    const sample = (name: string, ...parts: SVGElement[]): HTMLElement =>
      element(
        "li",
        {},
        shape(
          "svg",
          { width: 26, height: HEIGHT, viewBox: `0 0 26 ${HEIGHT}`, "aria-hidden": "true" },
          ...parts,
        ),
        name,
      );
    const bar: Readonly<Record<string, string>> = {
      good: "M1 7h24v3h-24z",
      missed: "M1 8h24v1h-24z",
      slow: "M1 4h24v8h-24z",
    };
    return element(
      "ul",
      { class: "legend", "aria-label": "What the marks mean" },
      ...LEGEND.filter(([look]) => used.has(look)).map(([look, name]) =>
        sample(name, shape("path", { class: `look ${look}`, d: bar[look] ?? "M1 1h24v13h-24z" })),
      ),
      ...(spans("outages") ? [sample("outage", shape("path", { class: "bracket", d: "M1 9v3H25v-3" }))] : []),
      ...(spans("intermittent")
        ? [sample("intermittent", shape("path", { class: "bracket dashed", d: "M1 9v3H25v-3" }))]
        : []),
      ...(spans("stalls")
        ? [sample("prober stalled: not counted", shape("path", { class: "stall", d: "M1 1h24v15h-24z" }))]
        : []),
    );
  }

  /** Hatches, so that kinds of failure differ without colour. */
  #patterns(): SVGElement {
    const hatch = (id: string, d: string): SVGElement =>
      shape(
        "pattern",
        { id: `p-${id}`, width: 5, height: 5, patternUnits: "userSpaceOnUse" },
        shape("rect", { class: "ground", width: 5, height: 5 }),
        shape("path", { class: "hatch", d }),
      );
    return shape(
      "svg",
      { class: "defs", width: 0, height: 0, "aria-hidden": "true" },
      shape(
        "defs",
        {},
        hatch("no-connection", "M-1 1l2 -2M0 5l5 -5M4 6l2 -2"),
        hatch("no-name", "M2.5 0v5"),
        hatch("wrong-answer", "M0 2.5h5M2.5 0v5"),
        hatch("other", "M0 2.5h5"),
      ),
    );
  }

  #listed(): HTMLElement {
    const box = element(
      "details",
      { class: "listed" },
      element("summary", {}, "Failed and slow samples in view, as a table"),
      element(
        "div",
        { class: "scroll", role: "region", tabindex: 0, "aria-label": "Failed and slow samples in view" },
        element(
          "table",
          {},
          element(
            "thead",
            {},
            element(
              "tr",
              {},
              ...["Time", "Probe", "From", "Sample"].map((name) => element("th", { scope: "col" }, name)),
            ),
          ),
          this.#list,
        ),
      ),
    );
    box.addEventListener("toggle", () => this.#fillList());
    return box;
  }

  #fillList(): void {
    if (this.#list.closest("details")?.open !== true) return;
    const views = this.#rows.flatMap(({ view, element: row }) => (view === null || row.hidden ? [] : [view]));
    const found = troubles(views, this.#range, MOST_LISTED + 1);
    this.#list.replaceChildren(
      ...found.slice(0, MOST_LISTED).map(({ view, index }) => {
        const [time = "", ...rest] = view.describe(index, this.#data);
        return element(
          "tr",
          {},
          ...[time, view.lane.probe, view.lane.source, rest.join("; ")].map((text) =>
            element("td", {}, text),
          ),
        );
      }),
      ...(found.length > MOST_LISTED
        ? [
            element(
              "tr",
              {},
              element("td", { colspan: 4 }, `The first ${MOST_LISTED}: zoom in or filter for the others.`),
            ),
          ]
        : found.length === 0
          ? [element("tr", {}, element("td", { colspan: 4 }, "None."))]
          : []),
    );
  }
}
