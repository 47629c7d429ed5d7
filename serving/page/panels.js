// Lengths, rejected records, languages and the two curves.
import { keep, setting } from "./address.js";
import { get } from "./api.js";
import { offer } from "./download.js";
import { draw } from "./chart.js";
import { $, brief, count, el, share } from "./format.js";
import { tabs } from "./flow.js";

const SEEN_SHOWN = 8, ALL = 1000;
const SEEN = ["languages", "tlds", "days"];
let seen = SEEN.includes(setting("seen")) ? setting("seen") : "languages", shown = SEEN_SHOWN;

// "eng" -> "English"; a code that the browser does not know is shown as it is.
const languages = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });
const nameOf = (code) => {
  if (seen !== "languages") return seen === "tlds" && code ? `.${code}` : code;
  try { return languages.of(code); } catch { return code; }
};

const REASONS = {
  not_language: "other language", too_few_words: "too few valid words", not_conversion: "no page (WARC info)", oversize: "too large",
  damaged: "damaged region", truncated: "cut off", bad_header: "unreadable header", taken_down: "taken down",
};

export async function refreshLengths() {
  const { bins, length, documents } = await get("lengths");
  const marks = ["p10", "p50", "p90", "p99"].filter((name) => length[name] !== null).map((name) => [Math.max(length[name], 1), name]);
  offer("lengths", ["from", "to", "documents"], bins.map((bin) => [bin.from, bin.to, bin.documents]));
  draw($("chart-lengths"), {
    label: `Histogram of the lengths of ${count(documents)} documents`, empty: "no documents yet",
    x: { log: true, name: "tokens" }, y: { name: "documents" }, bins: bins.filter((bin) => bin.to > 1).map((bin) => [bin.from, bin.to, bin.documents]), marks,
    tip: (i) => { const bin = bins.filter((b) => b.to > 1)[i]; return `${count(bin.from)}–${count(bin.to - 1)} tokens\n${count(bin.documents)} documents (${share(bin.documents, documents)})`; },
  });
  $("percentiles").replaceChildren(...Object.entries(length).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, brief(value)))));
}

function bars(rows) {
  return el("div", { class: "rows" }, ...rows.map(({ label, title, parts, n, of }) => el("div", {},
    el("span", { class: "label", title: title || label }, label),
    el("span", { class: "track" }, ...parts.map(([kind, part]) => el("span", { class: kind, width: `${100 * part}%` }))),
    el("span", { class: "n" }, count(n), " ", el("span", { class: "dim" }, share(n, of))))));
}

export async function refreshRejected() {
  const { records, rejected, reasons } = await get("rejected");
  const kept = { label: "kept", parts: [["kept", records ? (records - rejected) / records : 0]], n: records - rejected, of: records };
  $("rejected").replaceChildren(bars([kept, ...reasons.map(({ reason, records: n }) => ({ label: REASONS[reason] || reason, title: reason, parts: [["rejected", n / records]], n, of: records }))]));
}

export async function refreshSeen() {
  const name = seen, answer = await get(name, { limit: shown }), rows = answer[name];
  if (name !== seen) return; // another tab was chosen meanwhile
  offer("pages", [name, "pages", "documents"], async () => (await get(name, { limit: ALL }))[name].map((row) => [row.name, row.pages, row.documents]));
  const all = Math.max(1, ...rows.map((row) => row.pages));
  $("seen").replaceChildren(rows.length ? bars(rows.map((row) => ({ label: nameOf(row.name) || "unknown", title: row.name, parts: [["kept", row.documents / all], ["rejected", (row.pages - row.documents) / all]], n: row.pages }))) : el("p", { class: "empty" }, "no pages yet"));
  if (answer.total > rows.length) {
    const more = el("button", { class: "more", type: "button" }, `and ${count(answer.total - rows.length)} more`);
    more.addEventListener("click", () => { shown = ALL; refreshSeen(); });
    $("seen").append(more);
  }
}

export async function refreshCurves() {
  const [zipf, growth] = await Promise.all([get("zipf"), get("growth")]);
  offer("ranks", ["rank", "tf", "word"], zipf.points.map((p) => [p.rank, p.tf, p.word]));
  offer("growth", ["time", "tokens", "words", "documents"], growth.points.map((p) => [p.time, p.tokens, p.words, p.documents]));
  draw($("chart-zipf"), {
    label: "Term frequency by rank, both on logarithmic scales", x: { log: true, name: "rank" }, y: { log: true, name: "times" },
    series: [{ points: zipf.points.map((p) => [p.rank, p.tf]) }],
    tip: (i) => `#${count(zipf.points[i].rank)} ${zipf.points[i].word}\n${count(zipf.points[i].tf)} times`,
  });
  draw($("chart-heaps"), {
    label: "Distinct words by tokens seen", empty: "the curve starts with the next micro-batches",
    x: { min: 0, name: "tokens" }, y: { name: "words" }, series: [{ points: [[0, 0], ...growth.points.map((p) => [p.tokens, p.words])], area: true }],
    tip: (i) => (i ? `${count(growth.points[i - 1].tokens)} tokens\n${count(growth.points[i - 1].words)} words` : "start"),
  });
}

export function startPanels() {
  tabs("seen-tabs", (name) => { seen = name; shown = SEEN_SHOWN; keep({ seen: name === "languages" ? "" : name }); refreshSeen(); }, seen);
}
