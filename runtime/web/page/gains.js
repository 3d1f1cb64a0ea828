/** How strongly the parts of the face follow. */

import { t } from "./language.js";
import { createSlider } from "./slider.js";

const REGIONS = /** @type {const} */ ([["head", "Head"], ["brows", "Brows"], ["eyes", "Eyes"], ["mouth", "Mouth"]]);

/**
 * @param {{list: HTMLElement, reset: HTMLButtonElement}} places
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send
 */
export function mountGains({ list, reset }, store, send) {
  const sliders = REGIONS.map(([region, name]) => {
    const slider = createSlider({ name: t(name), most: 2, detent: 1, onValue: (value) => send({ action: "gain", region, value }) });
    list.append(slider.root);
    return { region, slider };
  });
  reset.addEventListener("click", () => {
    for (const { region } of sliders) send({ action: "gain", region, value: 1 });
  });
  store.subscribe(({ state }) => {
    if (!state) return;
    for (const { region, slider } of sliders) slider.set(state.gains[region] ?? 1);
    reset.disabled = REGIONS.every(([region]) => (state.gains[region] ?? 1) === 1);
  });
}
