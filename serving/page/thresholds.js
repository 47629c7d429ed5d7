// Thresholds: any view is a sum of words and tokens by document frequency, computed here while the slider moves.
import { keep, setting } from "./address.js";
import { get } from "./api.js";
import { $, count, share } from "./format.js";
import { command } from "./pipelines.js";

let held = { documents: 0, df: [], words: [], tokens: [] };
const STEPS = 100;
// What is set, in documents and as a share of them; the sliders show it as well as their steps allow.
let low = Math.max(1, Math.round(Number(setting("min_df", 1))) || 1);
let ratio = Number(setting("max_df")) > 0 && Number(setting("max_df")) < 1 ? Number(setting("max_df")) : null;
let changed = () => {};

// The thresholds as the server takes them; and whether there are any.
export const view = () => ({ min_df: low > 1 ? low : "", max_df: ratio ?? "" });
export const inView = () => low > 1 || ratio !== null;
export const onView = (action) => { changed = action; };

function take() {
  const most = held.df.at(-1) || 1, at = Number($("max-df").value);
  low = Math.max(1, Math.round(most ** ($("min-df").value / STEPS)));
  // Finer steps towards small shares, where they matter: 100 %, …, 10 %, …, 1 %, …, 0.1 %.
  ratio = at >= STEPS ? null : Number((10 ** ((at - STEPS) / (STEPS / 3))).toPrecision(2));
  keep(view());
  showThresholds();
  changed();
}

function place() {
  const most = held.df.at(-1) || 1;
  $("min-df").value = most > 1 ? Math.round((STEPS * Math.log(low)) / Math.log(most)) : 0;
  $("max-df").value = ratio === null ? STEPS : Math.round(STEPS + (STEPS / 3) * Math.log10(ratio));
}

export function showThresholds() {
  const high = ratio === null ? Infinity : ratio * held.documents;
  let words = 0, tokens = 0, allWords = 0, allTokens = 0;
  held.df.forEach((df, i) => {
    allWords += held.words[i];
    allTokens += held.tokens[i];
    if (df >= low && df < high) { words += held.words[i]; tokens += held.tokens[i]; }
  });
  $("min-df-out").textContent = count(low);
  $("min-df-unit").textContent = low === 1 ? "document" : "documents";
  $("max-df-out").textContent = ratio === null ? "any share" : `less than ${Number((100 * ratio).toPrecision(2))} %`;
  for (const [name, part, of] of [["words", words, allWords], ["tokens", tokens, allTokens]]) {
    $(`view-${name}`).textContent = count(part);
    $(`view-${name}-share`).textContent = share(part, of);
    $(`view-${name}-bar`).style.width = `${of ? (100 * part) / of : 0}%`;
  }
  $("min-df").setAttribute("aria-valuetext", `in at least ${count(low)} ${low === 1 ? "document" : "documents"}`);
  $("max-df").setAttribute("aria-valuetext", `in ${$("max-df-out").textContent} of the documents`);
  const flags = (low > 1 ? ` --min-df ${low}` : "") + (ratio === null ? "" : ` --max-df ${ratio}`);
  $("view-cli").replaceChildren("In a terminal: ", Object.assign(document.createElement("code"), { textContent: command(`wetstream stats${flags}`) }));
}

export async function refreshThresholds() {
  held = await get("vocabulary/frequencies");
  place();
  showThresholds();
}

export function startThresholds() {
  for (const id of ["min-df", "max-df"]) $(id).addEventListener("input", take);
}
