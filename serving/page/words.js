// The words: a searchable, sortable table, and the look-up.
import { keep, setting } from "./address.js";
import { get } from "./api.js";
import { offer } from "./download.js";
import { $, brief, count, el } from "./format.js";
import { inView, onView, view } from "./thresholds.js";

const STEP = 100;
let by = ["tf", "df", "word"].includes(setting("by")) ? setting("by") : "tf", limit = STEP, asked = 0;

function wanted(limit) {
  const text = $("words-search").value.trim();
  return { by, limit, ...view(), ...(text && { [$("words-how").value]: text }) };
}

// Throws when there is no answer; the rows shown before then stay.
export async function refreshWords() {
  const number = ++asked, text = $("words-search").value.trim();
  const answer = await get("words/search", wanted(limit));
  if (number !== asked) return; // a later request is under way
  const most = Math.max(1, ...answer.words.map((row) => (by === "df" ? row.df : row.tf)));
  const rows = answer.words.map((row) =>
    el("tr", {},
      el("td", {}, row.word, el("span", { class: "bar", width: `${(100 * (by === "df" ? row.df : row.tf)) / most}%` })),
      el("td", { class: "num" }, count(row.tf)), el("td", { class: "num" }, count(row.df)),
      el("td", { class: "num dim" }, row.idf === null ? "–" : row.idf.toFixed(2))));
  $("words").tBodies[0].replaceChildren(...(rows.length ? rows : [el("tr", {}, el("td", { colspan: 4, class: "empty" }, text ? `no word ${$("words-how").selectedOptions[0].text} “${text}”` : "no words yet"))]));
  $("words-count").textContent = text || inView() ? `${count(answer.total)} found` : `${brief(answer.total)} in total`;
  offer("words", ["word", "tf", "df", "idf"], async () => (await get("words/search", wanted(1000))).words.map((row) => [row.word, row.tf, row.df, row.idf]));
  $("words-more").hidden = answer.total <= limit || limit >= 1000;
}

function showWords() {
  const number = asked + 1;
  refreshWords().catch((error) => {
    if (number === asked) $("words").tBodies[0].replaceChildren(el("tr", {}, el("td", { colspan: 4, class: "empty" }, error.message)));
  });
}

async function lookUp() {
  const wanted = [...new Set($("look-word").value.split(/[\s,;]+/).filter(Boolean))].slice(0, 20);
  if (!wanted.length) return $("look-found").replaceChildren();
  try {
    const answer = await get("words", { word: wanted });
    $("look-found").replaceChildren(el("table", {},
      el("thead", {}, el("tr", {}, ...["word", "times", "documents", "idf", "rank"].map((name, i) => el("th", i ? { class: "num" } : {}, name)))),
      el("tbody", {}, ...answer.words.map((row) => el("tr", {},
        el("td", {}, row.word), el("td", { class: "num" }, row.tf ? count(row.tf) : "never"), el("td", { class: "num" }, row.tf ? count(row.df) : ""),
        el("td", { class: "num" }, row.idf === null ? "" : row.idf.toFixed(3)), el("td", { class: "num" }, row.rank ? `#${count(row.rank)}` : ""))))));
  } catch (error) {
    $("look-found").replaceChildren(el("p", { class: "empty" }, error.message));
  }
}

export function startWords() {
  let pause;
  const search = () => {
    keep({ q: $("words-search").value.trim(), how: $("words-how").value === "prefix" ? "" : $("words-how").value, by: by === "tf" ? "" : by });
    limit = STEP; clearTimeout(pause); pause = setTimeout(showWords, 120);
  };
  const sorted = () => {
    for (const cell of document.querySelectorAll("#words th[aria-sort]"))
      cell.setAttribute("aria-sort", cell.querySelector("button").dataset.by === by ? (by === "word" ? "ascending" : "descending") : "none");
  };
  $("words-search").value = setting("q");
  if (setting("how") === "contains") $("words-how").value = "contains";
  sorted();
  onView(search);
  $("words-search").addEventListener("input", search);
  $("words-how").addEventListener("change", search);
  $("words-more").addEventListener("click", () => { limit = Math.min(limit + 300, 1000); showWords(); });
  for (const button of document.querySelectorAll("#words th button"))
    button.addEventListener("click", () => {
      by = button.dataset.by;
      sorted();
      search();
    });
  $("look").addEventListener("submit", (event) => { event.preventDefault(); lookUp(); });
}
export const refreshLookUp = lookUp;
