/** The script of the pages: the theme, and in a report the timeline. */
import { type Packed, unpacked } from "../data.js";
import { Chart } from "./chart.js";
import { themeButton } from "./theme.js";

/** The data of the page. Its policy allows no request, so the text is decoded here. */
async function dataOf(base64: string): Promise<Packed> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text()) as Packed;
}

async function showTimeline(): Promise<void> {
  const place = document.getElementById("chart");
  const base64 = document.getElementById("data")?.textContent;
  if (place === null || base64 === undefined) return;
  const chart = new Chart(unpacked(await dataOf(base64)));
  place.append(chart.element);
  place.hidden = false;
  // From here on the fixed picture is for print alone.
  document.documentElement.classList.add("interactive");
  chart.start();
}

themeButton();
// An old browser keeps the fixed picture.
void showTimeline().catch((error: unknown) => {
  document.documentElement.classList.remove("interactive");
  throw error;
});
