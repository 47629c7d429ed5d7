// The words: a searchable, sortable table, and the look-up.
import { get } from "./api.js";
import { $, brief, count, el } from "./format.js";

const STEP = 100;
let by = "tf", limit = STEP, asked = 0;

// Throws when there is no answer; the rows shown before then stay.
export async function refreshWords() {
  const number = ++asked, text = $("words-search").value.trim();
  const wanted = { by, limit };
  if (text) wanted[$("words-how").value] = text;
  const answer = await get("words/search", wanted);
  if (number !== asked) return; // a later request is under way
  const most = Math.max(1, ...answer.words.map((row) => (by === "df" ? row.df : row.tf)));
  const rows = answer.words.map((row) =>
    el("tr", {},
      el("td", {}, row.word, el("span", { class: "bar", width: `${(100 * (by === "df" ? row.df : row.tf)) / most}%` })),
      el("td", { class: "num" }, count(row.tf)), el("td", { class: "num" }, count(row.df)),
      el("td", { class: "num dim" }, row.idf === null ? "–" : row.idf.toFixed(2))));
  $("words").tBodies[0].replaceChildren(...(rows.length ? rows : [el("tr", {}, el("td", { colspan: 4, class: "empty" }, text ? `no word ${$("words-how").selectedOptions[0].text} “${text}”` : "no words yet"))]));
  $("words-count").textContent = text ? `${count(answer.total)} found` : `${brief(answer.total)} in total`;
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
  const search = () => { limit = STEP; clearTimeout(pause); pause = setTimeout(showWords, 120); };
  $("words-search").addEventListener("input", search);
  $("words-how").addEventListener("change", search);
  $("words-more").addEventListener("click", () => { limit = Math.min(limit + 300, 1000); showWords(); });
  for (const button of document.querySelectorAll("#words th button"))
    button.addEventListener("click", () => {
      by = button.dataset.by;
      for (const cell of document.querySelectorAll("#words th[aria-sort]"))
        cell.setAttribute("aria-sort", cell.contains(button) ? (by === "word" ? "ascending" : "descending") : "none");
      search();
    });
  $("look").addEventListener("submit", (event) => { event.preventDefault(); lookUp(); });
}
export const refreshLookUp = lookUp;
