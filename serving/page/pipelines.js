// The pipeline that the page shows, and the menu of the others that its server has.
import { base, get } from "./api.js";
import { $, el } from "./format.js";

const MENU_EVERY_MS = 30_000;
let current = "", listed = "";

// A command about this pipeline.
export const command = (text) => (current && current !== "main" ? `${text} --pipeline ${current}` : text);

export function showPipeline(name) {
  if (name === current) return;
  current = name;
  $("pipeline").textContent = name;
}

async function refreshMenu() {
  const { pipelines, current: here, at_root: root } = await get("pipelines");
  if (JSON.stringify(pipelines) === listed) return; // so that an open menu stays open
  listed = JSON.stringify(pipelines);
  showPipeline(here);
  $("pipelines").replaceChildren(...pipelines.map((name) => {
    const value = name === root ? "/" : `/pipelines/${encodeURIComponent(name)}/`;
    return el("option", name === here ? { value, selected: "" } : { value }, name);
  }));
  $("pipelines").hidden = pipelines.length < 2;
  $("pipeline").hidden = pipelines.length > 1;
}

export function startPipelines() {
  for (const link of document.querySelectorAll("[data-path]")) link.href = base + link.dataset.path;
  $("pipelines").addEventListener("change", () => { location.href = $("pipelines").value; });
  const again = () => refreshMenu().catch(() => {}).finally(() => setTimeout(again, MENU_EVERY_MS));
  again();
}
