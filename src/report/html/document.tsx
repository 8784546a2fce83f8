/**
 * The frame of every page: one file that loads nothing. Its policy allows the style and the script below, by their hashes, and
 * no request: https://www.w3.org/TR/CSP3/#match-element-to-source-list. So even a mistake in a template runs no foreign
 * script.
 */
import { createHash } from "node:crypto";
import type { ComponentChildren, VNode } from "preact";
import { renderToString } from "preact-render-to-string";
import type { Assets } from "./assets.js";

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

function policy({ style, script }: Assets): string {
  return [
    "default-src 'none'",
    `style-src ${hash(style)}`,
    `script-src ${hash(script)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** Raw text of an element that has no escapes. Only for texts of this project, and for data in base64. */
const raw = (text: string): { dangerouslySetInnerHTML: { __html: string } } => ({
  dangerouslySetInnerHTML: { __html: text },
});

/** The mark of the project, as a picture of the tab: a line that breaks off and returns. */
const ICON =
  "data:image/svg+xml;base64," +
  Buffer.from(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M1 11h4v-8h6v8h4" fill="none" stroke="#c2410c" stroke-width="2"/></svg>',
  ).toString("base64");

/** Data for the script: base64 has no character that ends the element. */
export function DataElement({ id, base64 }: { id: string; base64: string }): VNode {
  return <script type="application/octet-stream" id={id} {...raw(base64)} />;
}

/** A picture of this project as markup: `timelineSvg` escapes what is foreign in it. */
export function Svg({ svg }: { svg: string }): VNode {
  return <div class="static" {...raw(svg)} />;
}

interface Page {
  readonly title: string;
  readonly assets: Assets;
  readonly children: ComponentChildren;
}

/** The text of the page. Every text in `children` is escaped. */
export function documentText({ title, assets, children }: Page): string {
  const page = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content={`${policy(assets)}; img-src data:`} />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <meta name="generator" content="kube-system chaos" />
        <title>{title}</title>
        <link rel="icon" href={ICON} />
        <style {...raw(assets.style)} />
      </head>
      <body>
        {children}
        <script {...raw(assets.script)} />
      </body>
    </html>
  );
  return `<!doctype html>\n${renderToString(page)}\n`;
}
