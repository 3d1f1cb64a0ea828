/** The figures: how fast, how late, and what is slow, in words and bars. */

import { element, setText } from "./dom.js";
import { t } from "./language.js";

/** @type {Record<string, string>} */
const STAGES = { capture: "Camera", track: "Tracking", animate: "Animation", render: "Drawing", encode: "Encoding" };
const nameOf = (/** @type {string} */ stage) => t(STAGES[stage] ?? stage);

/**
 * @param {{
 *   panel: HTMLElement, toggle: HTMLButtonElement, fps: HTMLElement, latency: HTMLElement, viewers: HTMLElement,
 *   viewersName: HTMLElement, slow: HTMLElement, bars: HTMLElement, skipped: HTMLElement, governor: HTMLElement,
 * }} places
 * @param {import("./store.js").Store} store
 * @returns {() => void} shows them, or hides them
 */
export function mountFigures(places, store) {
  const { panel, toggle } = places;
  const flip = () => {
    panel.hidden = !panel.hidden;
    toggle.setAttribute("aria-pressed", String(!panel.hidden));
    show(store.get());
  };
  /** @type {import("./api.js").Stats | null} */
  let shown = null;
  toggle.addEventListener("click", flip);
  store.subscribe(show);

  /** @param {import("./store.js").Knowledge} known */
  function show({ stats, state }) {
    if (panel.hidden || !stats || stats === shown) return;
    shown = stats;
    const budget = 1000 / (state?.target_fps || 30);
    setText(places.fps, stats.fps.toFixed(stats.fps < 9.95 ? 1 : 0));
    setText(places.latency, stats.latency_ms === null ? "–" : stats.latency_ms.toFixed(0));
    setText(places.viewers, String(stats.viewers));
    setText(places.viewersName, t(stats.viewers === 1 ? "viewer" : "viewers"));
    const slowest = stats.stages[stats.slow_stage];
    const slow = slowest?.ms ? t("{stage} takes longest: {ms} of {budget}.", { stage: nameOf(stats.slow_stage), ms: ms(slowest.ms), budget: budget.toFixed(0) }) : "";
    setText(places.slow, slow);
    showBars(places.bars, stats, budget);
    const skipped = Object.entries(stats.stages).filter(([, { dropped }]) => dropped)
      .map(([stage, { dropped }]) => `${nameOf(stage).toLowerCase()} ${dropped}`);
    setText(places.skipped, t("Skipped so far: {stages}", { stages: skipped.join(", ") }));
    places.skipped.hidden = skipped.length === 0;
    setText(places.governor, stats.governor.reason);
    places.governor.hidden = !stats.governor.reason;
  }
  return flip;
}

/** A bar for each stage that has something to do. @param {HTMLElement} list @param {import("./api.js").Stats} stats @param {number} budget milliseconds */
function showBars(list, stats, budget) {
  const rows = Object.entries(stats.stages).filter(([, figures]) => figures.ms).map(([stage, figures]) => {
    const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("i"), element("b"));
    bar.style.setProperty("--length", `${Math.min(figures.ms / budget, 1) * 100}%`);
    bar.style.setProperty("--p95", `${Math.min(figures.p95_ms / budget, 1) * 100}%`);
    const row = element("li", { title: t("95 of 100 within {ms}; {count} a second", { ms: ms(figures.p95_ms), count: figures.per_second.toFixed(0) }) },
      element("span", { class: "bar-name" }, nameOf(stage)), bar, element("span", { class: "bar-value" }, ms(figures.ms)));
    if (stage === stats.slow_stage) row.classList.add("slowest");
    return row;
  });
  list.replaceChildren(...rows);
}

/** @param {number} milliseconds */
const ms = (milliseconds) => `${milliseconds.toFixed(milliseconds < 9.95 ? 1 : 0)} ms`;
