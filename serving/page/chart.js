// Small charts in SVG: lines and bins, linear or logarithmic, with a readout by pointer or arrow keys.
import { brief } from "./format.js";

const NS = "http://www.w3.org/2000/svg";
const make = (name, attributes, text) => {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
};

function scale(low, high, from, to, log) {
  const f = log ? Math.log10 : (v) => v;
  const a = f(low), b = f(high) === a ? a + 1 : f(high);
  return (v) => from + ((f(v) - a) / (b - a)) * (to - from);
}
const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

function ticks(low, high, log, wanted, steps) {
  if (log) {
    const found = [];
    const decades = Math.log10(high / low);
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const m of decades < 2 ? [1, 2, 5] : [1]) if (m * 10 ** e >= low * 0.999 && m * 10 ** e <= high * 1.001) found.push(m * 10 ** e);
    const step = Math.ceil(found.length / wanted);
    return found.filter((_, i) => i % step === 0);
  }
  // What is drawn is counted, so no step is below 1.
  const raw = Math.max((high - low) / wanted, 1), power = 10 ** Math.floor(Math.log10(raw));
  const step = (steps || [1, 2, 5, 10].map((m) => m * power)).find((s) => s >= raw) || 86400 * Math.ceil(raw / 86400);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step / 1e6; v += step) found.push(v);
  return found;
}

// spec: {label, x: {name, log, time, format, min, max}, y: {name, own, log, format, max}, series: [{points: [[x, y], …], area, second, own}],
//        bins: [[from, to, n], …], marks: [[x, text], …], tip: (index) => text}; the first series (or the bins) is read out.
export function draw(box, spec) {
  box._spec = spec;
  if (!box._watch) {
    box._watch = new ResizeObserver(() => render(box));
    box._watch.observe(box);
    interact(box);
  }
  render(box);
}

function render(box) {
  const spec = box._spec, width = box.clientWidth, height = box.clientHeight;
  if (!spec || !width) return;
  const rows = spec.bins ? spec.bins.map(([from, , n]) => [from, n]) : spec.series[0].points;
  const left = 44, right = spec.series?.some((s) => s.own) ? 44 : 10, top = (spec.y.name ? 22 : 10) + (spec.marks?.length ? 14 : 0), bottom = spec.x.name ? 38 : 28;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spec.label, tabindex: 0 });
  if (rows.length < (spec.bins ? 1 : 2)) {
    svg.append(make("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, spec.empty || "nothing to draw yet"));
    replace(box, svg);
    box._places = [];
    return;
  }
  const xs = spec.bins ? spec.bins.flatMap(([from, to]) => [from, to]) : rows.map(([x]) => x);
  const ys = spec.bins ? rows.map(([, n]) => n) : spec.series.filter((s) => !s.own).flatMap((s) => s.points.map(([, y]) => y));
  const xMin = spec.x.min ?? Math.min(...xs), xMax = spec.x.max ?? Math.max(...xs);
  const yMin = spec.y.log ? Math.min(...ys) : 0, yMax = spec.y.max ?? Math.max(...ys, yMin || 1);
  const x = scale(spec.x.log ? Math.max(xMin, 1) : xMin, xMax, left, width - right, spec.x.log);
  const y = scale(yMin, yMax, height - bottom, top, spec.y.log);
  if (spec.y.name) svg.append(make("text", { class: "axis", x: 0, y: 10 }, spec.y.name));
  if (spec.y.own) svg.append(make("text", { class: "axis", x: width, y: 10, "text-anchor": "end" }, spec.y.own));
  if (spec.x.name) svg.append(make("text", { class: "axis", x: width - right, y: height - 3, "text-anchor": "end" }, spec.x.name));
  for (const v of ticks(yMin, yMax, spec.y.log, 5)) {
    svg.append(make("line", { class: "grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }));
    svg.append(make("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, (spec.y.format || brief)(v)));
  }
  for (const v of ticks(spec.x.log ? Math.max(xMin, 1) : xMin, xMax, spec.x.log, Math.max(4, Math.floor(width / 110)), spec.x.time && TIMES))
    svg.append(make("text", { x: Math.min(Math.max(x(v), spec.x.time ? left + 18 : left), width - 14), y: height - bottom + 16, "text-anchor": "middle" }, (spec.x.format || brief)(v)));
  for (const [index, [from, to, n]] of (spec.bins || []).entries()) {
    const a = x(spec.x.log ? Math.max(from, 1) : from), b = x(to), h = height - bottom - y(n);
    svg.append(make("rect", { class: "bin", "data-i": index, x: a + 0.5, width: Math.max(b - a - 1, 0.5), y: y(n), height: Math.max(h, n ? 1 : 0), rx: 1.5 }));
  }
  let labelled = -Infinity;
  for (const [v, text] of spec.marks || []) {
    svg.append(make("line", { class: "mark", x1: x(v), x2: x(v), y1: top - 6, y2: height - bottom }));
    if (x(v) - labelled > 28) { svg.append(make("text", { x: x(v), y: top - 10, "text-anchor": "middle" }, text)); labelled = x(v); }
  }
  for (const series of spec.series || []) {
    if (series.points.length < 2) continue;
    const own = series.own ? scale(0, Math.max(...series.points.map(([, v]) => v), 1), height - bottom, top, false) : y;
    const path = series.points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${own(b).toFixed(1)}`).join("");
    if (series.area) svg.append(make("path", { class: "area", d: `${path}L${x(series.points.at(-1)[0])},${height - bottom}L${x(series.points[0][0])},${height - bottom}Z` }));
    svg.append(make("path", { class: series.second ? "line second" : "line", d: path }));
    if (series.points.length <= 12) for (const [a, b] of series.points) svg.append(make("circle", { class: series.second ? "point second" : "point", cx: x(a), cy: own(b), r: 2.5 }));
    if (series.own) for (const v of ticks(0, Math.max(...series.points.map(([, b]) => b), 1), false, 3))
      svg.append(make("text", { x: width - right + 6, y: own(v) + 4 }, brief(v)));
  }
  box._places = rows.map(([a, b], i) => [spec.bins ? (x(Math.max(a, 1)) + x(spec.bins[i][1])) / 2 : x(a), y(b)]);
  box._frame = { top, bottom: height - bottom };
  replace(box, svg);
  if (box._at !== undefined) point(box, Math.min(box._at, rows.length - 1));
}

function replace(box, svg) {
  const focused = box.contains(document.activeElement);
  box.querySelector("svg")?.remove();
  box.prepend(svg);
  if (focused) svg.focus({ preventScroll: true });
}

function point(box, index) {
  box._at = index;
  const svg = box.querySelector("svg"), place = box._places?.[index];
  svg.querySelectorAll(".cross, .dot").forEach((node) => node.remove());
  svg.querySelectorAll(".bin.on").forEach((node) => node.classList.remove("on"));
  box.querySelector(".tip")?.remove();
  if (!place || !box._spec.tip) return;
  const bin = svg.querySelector(`.bin[data-i="${index}"]`);
  if (bin) bin.classList.add("on");
  else svg.append(make("line", { class: "cross", x1: place[0], x2: place[0], y1: box._frame.top, y2: box._frame.bottom }), make("circle", { class: "dot", cx: place[0], cy: place[1], r: 4.5 }));
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.textContent = box._spec.tip(index);
  box.append(tip);
  const half = tip.offsetWidth / 2;
  tip.style.left = `${Math.min(Math.max(place[0], half), box.clientWidth - half)}px`;
  tip.style.top = `${Math.max(place[1], tip.offsetHeight + 6)}px`;
}

function interact(box) {
  const leave = () => { box._at = undefined; point(box, undefined); };
  box.addEventListener("pointermove", (event) => {
    if (!box._places?.length) return;
    const at = event.clientX - box.getBoundingClientRect().left;
    let best = 0;
    box._places.forEach(([a], i) => { if (Math.abs(a - at) < Math.abs(box._places[best][0] - at)) best = i; });
    point(box, best);
  });
  box.addEventListener("pointerleave", leave);
  box.addEventListener("focusout", leave);
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !box._places?.length) return;
    event.preventDefault();
    point(box, Math.min(Math.max((box._at ?? (step > 0 ? -1 : box._places.length)) + step, 0), box._places.length - 1));
  });
}
