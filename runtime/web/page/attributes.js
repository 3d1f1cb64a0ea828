/** The avatar's attributes: a chip each, by slot, and a slider for those that are on. */

import { capitalised, element } from "./dom.js";
import { createSlider } from "./slider.js";

/**
 * @typedef {import("./api.js").Attribute} Attribute
 * @typedef {{show: (attribute: Attribute) => void}} Part
 */

/**
 * @param {{list: HTMLElement, clear: HTMLButtonElement, empty: HTMLElement}} places
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send
 */
export function mountAttributes({ list, clear, empty }, store, send) {
  /** @type {Map<string, Part>} */
  let parts = new Map();
  let built = "";

  clear.addEventListener("click", () => send({ action: "no-attributes" }));
  store.subscribe(({ state }) => {
    if (!state) return;
    const shape = JSON.stringify(state.attributes.map(({ name, label, slot, key }) => [name, label, slot, key]));
    if (shape !== built) {
      built = shape;
      parts = build(list, state.attributes, send, () => refresh());
    }
    refresh();
  });

  function refresh() {
    const attributes = store.get().state?.attributes ?? [];
    for (const attribute of attributes) parts.get(attribute.name)?.show(attribute);
    empty.hidden = attributes.length > 0;
    clear.hidden = attributes.length === 0;
    clear.disabled = attributes.every(({ target }) => target === 0);
  }
}

/**
 * @param {HTMLElement} list @param {Attribute[]} attributes @param {import("./link.js").Send} send @param {() => void} refresh
 * @returns {Map<string, Part>}
 */
function build(list, attributes, send, refresh) {
  /** @type {Map<string, Part>} */
  const parts = new Map();
  /** @type {Map<string, {chips: HTMLElement, sliders: HTMLElement}>} */
  const slots = new Map();
  list.replaceChildren();
  for (const attribute of attributes) {
    let slot = slots.get(attribute.slot);
    if (!slot) {
      slot = addSlot(list, attribute.slot);
      slots.set(attribute.slot, slot);
    }
    parts.set(attribute.name, addAttribute(slot, attribute, send, refresh));
  }
  return parts;
}

/** @param {HTMLElement} list @param {string} name */
function addSlot(list, name) {
  const chips = element("div", { class: "chips" });
  const sliders = element("div", { class: "sliders" });
  const title = capitalised(name);
  list.append(element("div", { class: "slot", role: "group", "aria-label": title },
    element("h3", {}, title), chips, sliders));
  return { chips, sliders };
}

/**
 * @param {{chips: HTMLElement, sliders: HTMLElement}} slot @param {Attribute} attribute @param {import("./link.js").Send} send
 * @param {() => void} refresh @returns {Part}
 */
function addAttribute({ chips, sliders }, { name, label, key }, send, refresh) {
  const chip = element("button", { type: "button", class: "chip", "aria-pressed": "false", "data-attribute": name },
    element("span", {}, label));
  if (key) {
    chip.append(element("kbd", { "aria-hidden": "true" }, key));
    chip.setAttribute("aria-keyshortcuts", key);
  }
  chip.addEventListener("click", () => send({ action: "attribute", name }));
  chips.append(chip);
  const slider = createSlider({
    name: label,
    most: 1,
    onValue: (weight) => send({ action: "attribute", name, weight }),
    onIdle: refresh,
  });
  slider.root.hidden = true;
  sliders.append(slider.root);
  return {
    show: ({ target }) => {
      chip.setAttribute("aria-pressed", String(target > 0));
      chip.style.setProperty("--fill", `${target * 100}%`);
      slider.set(target);
      // A slider at 0 stays while it is in use: it must be possible to drag it up again.
      slider.root.hidden = target === 0 && !slider.isBusy() && !slider.root.contains(document.activeElement);
    },
  };
}
