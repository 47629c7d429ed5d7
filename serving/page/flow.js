// Throughput, micro-batches, and the sources with their progress.
import { keep, setting } from "./address.js";
import { get } from "./api.js";
import { offer } from "./download.js";
import { draw } from "./chart.js";
import { $, brief, bytes, clock, count, el, seconds } from "./format.js";
import { command } from "./pipelines.js";

const PHASES = [["processing", "process"], ["table", "documents table"], ["redis", "statistics"], ["compact", "joining files"], ["other", "the rest"]];
const STEP = 12;
const GROUPS = ["sources", "segments", "crawls"];
let by = GROUPS.includes(setting("group")) ? setting("group") : "sources", limit = STEP;

function phases(batch) {
  const s = batch.seconds, ours = (s.table || 0) + (s.redis || 0) + (s.compact || 0);
  const all = s.triggerExecution || s.addBatch || 0, processing = Math.max(0, (s.addBatch || 0) - ours);
  return { processing, table: s.table || 0, redis: s.redis || 0, compact: s.compact || 0, other: Math.max(0, all - processing - ours), all };
}

export async function refreshFlow() {
  const { batches } = await get("batches", { limit: 120 });
  const rows = batches.toReversed();
  const speed = rows.map((b) => [b.at, b.rows_per_s]);
  draw($("chart-flow"), {
    label: "Records per second of the last micro-batches, and the lag after each",
    empty: "the curve starts with the next micro-batches",
    x: { format: clock, time: true }, y: { name: "records/s", own: "lag" },
    series: [{ points: speed, area: true }, { points: rows.map((b) => [b.at, b.lag]), second: true, own: true }],
    tip: (i) => `${clock(rows[i].at)}\n${count(rows[i].rows_per_s)} records/s\n${count(rows[i].rows)} records in ${seconds(phases(rows[i]).all)}\nlag ${count(rows[i].lag)}`,
  });
  const head = ["at", "records", "text", "words", "files", "took", "", "lag"];
  const body = batches.slice(0, 40).map((batch) => {
    const part = phases(batch);
    const bar = el("span", { class: "phases", title: PHASES.map(([name, text]) => `${text} ${seconds(part[name])}`).join("\n") },
      ...PHASES.map(([name], i) => el("i", { class: `k${i}`, width: `${part.all ? (100 * part[name]) / part.all : 0}%` })));
    return el("tr", {}, el("td", {}, clock(batch.at)), el("td", { class: "num" }, count(batch.rows)), el("td", { class: "num" }, bytes(batch.payload_bytes || 0)),
      el("td", { class: "num" }, count(batch.words)), el("td", { class: "num" }, count(batch.files)), el("td", { class: "num" }, seconds(part.all)), el("td", {}, bar), el("td", { class: "num" }, count(batch.lag)));
  });
  $("batches").replaceChildren(el("thead", {}, el("tr", {}, ...head.map((name, i) => el("th", i && i !== 6 ? { class: "num" } : {}, name)))), el("tbody", {}, ...body));
  $("phases").replaceChildren(...PHASES.flatMap(([, text], i) => [el("i", { class: `key k${i}` }), text]));
}

export function showNow(state) {
  const stream = state.stream, batch = state.batch, parts = [];
  if (stream?.streaming) {
    parts.push(el("b", {}, `${brief(stream.records_per_s)}`), " records/s · lag ", el("b", {}, count(stream.lag ?? 0)));
    if (batch) parts.push(" · last micro-batch ", el("b", {}, seconds(phases(batch).all)));
  } else parts.push("no stream is running");
  parts.push(" ", el("span", { class: "keys" }, el("i", { class: "key kept" }), " records/s ", el("i", { class: "key rejected" }), " lag"));
  $("flow-now").replaceChildren(...parts);
}

const STATES = { done: "done", streaming: "streaming", ingesting: "ingesting", truncated: "cut off", damaged: "damaged",
  faulty: "faulty" };

export async function refreshSources() {
  const answer = await get(by, { limit });
  await refreshProblems();
  const rows = by === "sources" ? answer.sources : answer.groups;
  $("sources").replaceChildren(...rows.map(by === "sources" ? sourceRow : groupRow), rows.length ? "" : el("p", { class: "empty" }, "no sources yet"));
  $("sources-more").hidden = answer.total <= limit || limit >= 1000;
  $("sources-more").textContent = `Show more (${count(answer.total - limit)})`;
}

// What is wrong with a source, and what helps; the worst first.
const REMEDIES = {
  faulty: ["records are missing or doubled", "wetstream repair"],
  damaged: ["parts of the file could not be read; the rest is counted", "wetstream segments"],
  truncated: ["the file ends in the middle of a record", "wetstream ingest", ", once it is whole"],
};

async function refreshProblems() {
  const all = (await get("sources", { limit: 1000 })).sources;
  offer("sources", ["source", "state", "produced", "processed", "kept", "tokens"], all.map((s) => [s.source, s.state, s.produced, s.records, s.documents, s.tokens]));
  const bad = Object.keys(REMEDIES).flatMap((state) => all.filter((source) => source.state === state));
  $("problems").hidden = !bad.length;
  $("problems").replaceChildren(el("h3", {}, `${count(bad.length)} ${bad.length === 1 ? "source needs" : "sources need"} a look`), el("ul", {}, ...bad.slice(0, 10).map((source) =>
    el("li", {}, el("b", {}, source.source.replace(/^file:\/\//, "")), `: ${STATES[source.state]}: ${REMEDIES[source.state][0]}. `, el("code", {}, command(REMEDIES[source.state][1])), REMEDIES[source.state][2] ?? ""))),
    bad.length > 10 ? el("p", {}, `and ${count(bad.length - 10)} more, by ${command("wetstream segments")}`) : "");
}

function row(name, whole, produced, kept, rejected, text, state, kind) {
  const part = (n) => `${whole ? Math.min(100, (100 * n) / whole) : 0}%`;
  const done = whole ? Math.round((100 * (kept + rejected)) / whole) : 0;
  return el("div", { class: "source" },
    el("span", { class: "name", title: name }, el("bdi", {}, name)),
    el("span", { class: "track", role: "progressbar", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.min(100, done) },
      el("span", { class: "produced", width: part(produced) }), el("span", { class: "kept", width: part(kept) }), el("span", { class: "rejected", width: part(rejected) })),
    el("span", { class: "counts" }, text), el("span", { class: `what ${kind}` }, state));
}

function sourceRow(source) {
  const rejected = source.records - source.documents;
  // The records of a file still being read are extrapolated from how far it has been read.
  const read = source.size_bytes && source.read_bytes ? source.read_bytes / source.size_bytes : 1;
  const whole = Math.max(source.state === "ingesting" && read > 0 ? source.produced / Math.max(read, 0.001) : source.produced, source.records);
  const state = source.state === "streaming" || source.state === "ingesting" ? `${STATES[source.state]} ${whole ? Math.floor((100 * source.records) / whole) : 0} %` : STATES[source.state] || source.state;
  const kind = source.state === "done" ? "done" : ["truncated", "damaged", "faulty"].includes(source.state) ? "bad" : "";
  return row(source.source.replace(/^file:\/\//, ""), whole, source.produced, source.documents, rejected, `${count(source.documents)} of ${count(source.records)} kept`, state, kind);
}

function groupRow(group) {
  const whole = Math.max(group.produced, group.records), finished = group.done === group.sources;
  return row(group.name, whole, group.produced, group.documents, group.rejected, `${count(group.documents)} of ${count(group.records)} kept`, `${group.done} of ${group.sources} files`, finished ? "done" : "");
}

export function startFlow() {
  tabs("source-tabs", (name) => { by = name; limit = STEP; keep({ group: name === "sources" ? "" : name }); refreshSources(); }, by);
  $("sources-more").addEventListener("click", () => { limit = Math.min(limit + 100, 1000); refreshSources(); });
}

export function tabs(id, choose, chosen) {
  const buttons = [...$(id).querySelectorAll("button")];
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.by === chosen));
  for (const button of buttons)
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      choose(button.dataset.by);
    });
}
