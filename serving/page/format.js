// Numbers, sizes and times as people read them.
const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => (n == null ? "–" : whole.format(Math.round(n)));
export const brief = (n) => (n == null ? "–" : Math.abs(n) < 10_000 ? whole.format(Math.round(n * 10) / 10) : short.format(n));
export const share = (part, of) => {
  if (!of) return "";
  const percent = (100 * part) / of;
  return `${percent > 0 && percent < 0.1 ? "<0.1" : percent >= 99.95 && part < of ? ">99.9" : percent.toFixed(percent < 10 ? 1 : 0)} %`;
};
export const bytes = (n) => {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (n < 1000) return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1000;
  }
  return `${n.toFixed(1)} TB`;
};
export const clock = (s) => (s == null ? "never" : new Date(s * 1000).toLocaleTimeString([], { hour12: false }));
export const when = (s) => {
  if (s == null) return "never";
  const date = new Date(s * 1000);
  return Date.now() - date < 12 * 3600e3 ? clock(s) : date.toLocaleString([], { hour12: false, dateStyle: "medium", timeStyle: "short" });
};
export const seconds = (s) => (s < 10 ? `${s.toFixed(2)} s` : `${s.toFixed(1)} s`);

export const duration = (s) => (s < 90 ? `${Math.ceil(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);

// Makes an element: el("td", { class: "num" }, "3"). Text is always text, never HTML.
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "width") made.style.width = value;
    else if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
export const $ = (id) => document.getElementById(id);
