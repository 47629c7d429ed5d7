// The page: listens to the server's events, and refreshes the panels when the numbers have changed.
import { listen } from "./api.js";
import { startDownloads } from "./download.js";
import { $, brief, bytes, clock, count, duration, el, share, when } from "./format.js";
import { refreshFlow, refreshSources, showNow, startFlow } from "./flow.js";
import { command, showPipeline, startPipelines } from "./pipelines.js";
import { refreshCurves, refreshLengths, refreshRejected, refreshSeen, startPanels } from "./panels.js";
import { refreshThresholds, startThresholds } from "./thresholds.js";
import { refreshLookUp, refreshWords, startWords } from "./words.js";

const PANELS_EVERY_MS = 2000, STALE_S = 30, MOVING_S = 8, BEHIND_S = 10;
let state = null, lost = null, panelsAt = 0, shown = "", planned = null, before = null, speed = {}, told = "";

function figures() {
  const s = state?.stats;
  if (!s) return tell([["documents"], ["tokens"], ["vocabulary"], ["records"], ["rejected"]]);
  const rejected = Object.values(s.rejected).reduce((sum, n) => sum + n, 0);
  const moving = state.stream?.streaming && Date.now() / 1000 - s.as_of.time < MOVING_S;
  const gain = (name) => (speed[name] > 0 && moving ? `+${brief(speed[name])} per second` : "");
  const rows = [
    ["documents", count(s.documents), gain("documents") || `in ${count(s.sources)} ${s.sources === 1 ? "file" : "files"}`],
    ["tokens", count(s.tokens), gain("tokens") || (s.documents ? `${brief(s.tokens / s.documents)} per document` : "")],
    ["vocabulary", count(s.words), "distinct words"],
    ["records", count(s.records), `${bytes(s.payload_bytes)} of text`],
    ["rejected", count(rejected), share(rejected, s.records)],
  ];
  tell(rows);
}

function tell(rows) {
  const text = JSON.stringify(rows);
  if (text === told) return; // so that a selection of text survives
  told = text;
  $("figures").replaceChildren(...rows.map(([name, value = "–", note = ""]) => el("div", { class: "figure" },
    el("div", { class: "name" }, name), el("div", { class: "value", id: `figure-${name}` }, value), el("div", { class: "note" }, note))));
}

function measure() {
  const s = state.stats;
  if (!s) return;
  const now = { at: s.as_of.time, documents: s.documents, tokens: s.tokens };
  if (before && now.at > before.at) {
    for (const name of ["documents", "tokens"]) speed[name] = (now[name] - before[name]) / (now.at - before.at);
  }
  if (!before || now.at !== before.at) before = now;
}

// What is wrong, the worst first: [kind, text of the pill, sentence of the banner].
function trouble() {
  const at = state?.stats ? `The numbers are as of ${when(state.stats.as_of.time)}.` : "";
  if (lost !== null) return ["bad", "no connection", `The server does not answer${lost && ` (${lost})`}. ${at} Trying again.`];
  if (!state) return ["", "connecting", ""];
  if (state.away) return ["bad", state.away.startsWith("Redis key") ? "Redis is unreadable" : "Redis is away", `${sentenceOf(state.away)} ${at} The page resumes by itself.`];
  if (state.missing) return ["warn", "nothing counted yet", sentenceOf(state.missing)];
  if (!state.stream?.streaming) return ["warn", "stream is down", `No stream is running, so the numbers do not change. ${at} Start one with \`${command("wetstream stream")}\`.`];
  const age = Date.now() / 1000 - (state.stats.as_of.time || 0), { lag, records_per_s: rate } = state.stream;
  if (lag && state.stats.as_of.time !== null && age > STALE_S) return ["warn", "stale", `No commit for ${count(age)} s, although ${count(lag)} offsets wait in the topic.`];
  if (state.stats.as_of.time === null) return ["live", lag ? `first micro-batch, ${brief(lag)} waiting` : "live, nothing to do", ""];
  if (lag === null) return ["live", "live", ""]; // the stream has just started: how much waits is not known yet
  if (!lag) return ["live", "live, complete", ""];
  const left = rate > 0 ? lag / rate : Infinity;
  if (left < BEHIND_S) return ["live", "live", ""];
  return ["live", `catching up, ${brief(lag)} waiting${left < Infinity ? `, about ${duration(left)} left` : ""}`, ""];
}

function sentenceOf(text) {
  return `${text[0].toUpperCase()}${text.slice(1).replace(/\.+$/, "")}.`;
}

function status() {
  figures();
  const [kind, word, sentence] = trouble();
  $("pill").className = `pill ${kind}`;
  if ($("pill").textContent !== word) $("pill").textContent = word;
  $("banner").hidden = !sentence;
  $("banner").className = `banner ${kind}`;
  const parts = sentence.split("`").map((text, i) => (i % 2 ? el("code", {}, text) : text));
  if ($("banner").textContent !== sentence.replaceAll("`", "")) $("banner").replaceChildren(...parts);
  document.querySelector("main").classList.toggle("stale", kind === "bad" || word === "stale");
  document.querySelector("main").classList.toggle("nothing", !state?.stats);
  if (!state?.stats) return;
  $("asof").textContent = `as of ${when(state.stats.as_of.time)}${state.stats.as_of.applying ? ", applying" : ""}`;
  $("profile").textContent = `profile ${state.stats.profile}`;
  document.title = lost !== null ? "wetstream (no connection)" : `${brief(state.stats.documents)} documents – ${state.pipeline} – wetstream`;
}

async function panels() {
  planned = null;
  panelsAt = Date.now();
  shown = state.version;
  const jobs = [refreshFlow, refreshSources, refreshThresholds, refreshLengths, refreshRejected, refreshSeen];
  if (state.snapshot) jobs.push(refreshWords, refreshCurves);
  if ($("look-word").value) jobs.push(refreshLookUp);
  const done = await Promise.allSettled(jobs.map((job) => job()));
  // Panels that failed are requested again.
  if (done.some((one) => one.status === "rejected")) { shown = ""; plan(); }
}

function plan() {
  if (planned || !state || state.away || state.missing || document.hidden || shown === state.version) return;
  planned = setTimeout(panels, Math.max(0, panelsAt + PANELS_EVERY_MS - Date.now()));
}

function onState(news) {
  lost = null;
  // While Redis is away the last numbers stay, marked as old.
  state = news.stats || !state ? news : { ...news, stats: state.stats, stream: state.stream };
  if (news.missing) state.stats = null;
  showPipeline(state.pipeline);
  measure();
  showNow(state);
  status();
  plan();
}

function theme() {
  const order = ["", "light", "dark"], root = document.documentElement;
  const put = (name) => { if (name) root.dataset.theme = name; else delete root.dataset.theme; };
  put(localStorage.getItem("wetstream-theme") || "");
  $("theme").addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.theme || "") + 1) % 3];
    localStorage.setItem("wetstream-theme", next);
    put(next);
  });
}

theme();
startFlow();
startWords();
startThresholds();
startPanels();
startDownloads();
startPipelines();
status();
setInterval(status, 1000);
document.addEventListener("visibilitychange", plan);
listen(onState, (reason) => { lost = reason; status(); });
