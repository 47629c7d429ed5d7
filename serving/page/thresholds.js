// Thresholds: any view is a sum of words and tokens by document frequency, computed here while the slider moves.
import { get } from "./api.js";
import { $, count, share } from "./format.js";

let held = { documents: 0, df: [], words: [], tokens: [] };
const STEPS = 100;

const minDf = () => {
  const most = held.df.at(-1) || 1;
  return Math.max(1, Math.round(most ** ($("min-df").value / STEPS)));
};
// Finer steps towards small shares, where they matter: 100 %, …, 10 %, …, 1 %, …, 0.1 %.
const maxDf = () => {
  const at = Number($("max-df").value);
  return at >= STEPS ? null : Number((10 ** ((at - STEPS) / (STEPS / 3))).toPrecision(2));
};

export function showThresholds() {
  const low = minDf(), ratio = maxDf(), high = ratio === null ? Infinity : ratio * held.documents;
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
  const flags = (low > 1 ? ` --min-df ${low}` : "") + (ratio === null ? "" : ` --max-df ${ratio}`);
  $("view-cli").replaceChildren("In a terminal: ", Object.assign(document.createElement("code"), { textContent: `wetstream stats${flags}` }));
}

export async function refreshThresholds() {
  held = await get("vocabulary/frequencies");
  showThresholds();
}

export function startThresholds() {
  for (const id of ["min-df", "max-df"]) $(id).addEventListener("input", showThresholds);
}
