/** The avatar's attributes: a chip each, by slot, and a slider for those that are on. Where there are many, slots fold. */

import { capitalised, element, setText } from "./dom.js";
import { t } from "./language.js";
import { createSlider } from "./slider.js";

/**
 * @typedef {import("./api.js").Attribute} Attribute
 * @typedef {{show: (attribute: Attribute) => void, chip: HTMLElement}} Part
 * @typedef {{root: HTMLElement, chips: HTMLElement, sliders: HTMLElement, worn: HTMLElement | null}} Slot
 * `worn`: where a slot that folds says what is on in it
 */

const MANY = 15; // from here on they fold, and can be searched

/** Whether there are so many that they fold and can be searched. @param {Attribute[]} attributes */
export const isSearchable = (attributes) => attributes.length >= MANY;

/**
 * @param {{list: HTMLElement, clear: HTMLButtonElement, empty: HTMLElement, find: HTMLInputElement, none: HTMLElement}} places
 *   find: where one is looked for by name; none: said where there is none of that name
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send
 * @returns {() => void} goes to the search, if there is one
 */
export function mountAttributes({ list, clear, empty, find, none }, store, send) {
  /** @type {Map<string, Part>} */
  let parts = new Map();
  /** @type {Map<string, Slot>} */
  let slots = new Map();
  let built = "";

  clear.addEventListener("click", () => send({ action: "no-attributes" }));
  find.addEventListener("input", () => filter());
  find.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") {
      find.value = "";
      filter();
    }
    if (key === "Enter") [...parts.values()].find(({ chip }) => find.value && !chip.hidden)?.chip.click(); // the first that fits
  });
  store.subscribe(({ state }) => {
    if (!state) return;
    const shape = JSON.stringify(state.attributes.map(({ name, label, slot, key }) => [name, label, slot, key]));
    if (shape !== built) {
      built = shape;
      find.hidden = !isSearchable(state.attributes);
      find.value = "";
      none.hidden = true;
      ({ parts, slots } = build(list, state.attributes, send, () => refresh()));
    }
    refresh();
  });

  function refresh() {
    const attributes = store.get().state?.attributes ?? [];
    for (const attribute of attributes) parts.get(attribute.name)?.show(attribute);
    for (const [name, { worn }] of slots) {
      if (worn) setText(worn, attributes.filter(({ slot, target }) => slot === name && target > 0).map(({ label }) => t(label)).join(", "));
    }
    empty.hidden = attributes.length > 0;
    clear.hidden = attributes.length === 0;
    clear.disabled = attributes.every(({ target }) => target === 0);
  }

  /** Show those only whose name, or whose slot's name, has all the words in it. */
  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { name, label, slot } of store.get().state?.attributes ?? []) {
      const text = `${label} ${t(label)} ${slot} ${t(capitalised(slot))}`.toLowerCase();
      const fits = words.every((word) => text.includes(word));
      const chip = parts.get(name)?.chip;
      if (chip) chip.hidden = !fits;
      found += fits ? 1 : 0;
    }
    for (const { root, chips } of slots.values()) {
      root.hidden = [...chips.children].every((chip) => /** @type {HTMLElement} */ (chip).hidden);
      if (!(root instanceof HTMLDetailsElement)) continue;
      if (words.length) {
        root.dataset.open ??= String(root.open); // to be put back afterwards
        root.open = true;
      } else if (root.dataset.open !== undefined) {
        root.open = root.dataset.open === "true";
        delete root.dataset.open;
      }
    }
    none.hidden = found > 0;
  }

  return () => {
    if (find.hidden) return;
    find.focus();
    find.select();
  };
}

/**
 * @param {HTMLElement} list @param {Attribute[]} attributes @param {import("./link.js").Send} send @param {() => void} refresh
 * @returns {{parts: Map<string, Part>, slots: Map<string, Slot>}}
 */
function build(list, attributes, send, refresh) {
  /** @type {Map<string, Part>} */
  const parts = new Map();
  /** @type {Map<string, Slot>} */
  const slots = new Map();
  list.replaceChildren();
  for (const attribute of attributes) {
    let slot = slots.get(attribute.slot);
    if (!slot) {
      const count = attributes.filter((each) => each.slot === attribute.slot).length;
      slot = isSearchable(attributes) ? foldingSlot(attribute.slot, count, slots.size === 0) : openSlot(attribute.slot);
      list.append(slot.root);
      slots.set(attribute.slot, slot);
    }
    parts.set(attribute.name, addAttribute(slot, attribute, send, refresh));
  }
  return { parts, slots };
}

/** @param {string} name @returns {Slot} */
function openSlot(name) {
  const chips = element("div", { class: "chips" });
  const sliders = element("div", { class: "sliders" });
  const title = t(capitalised(name));
  const root = element("div", { class: "slot", role: "group", "aria-label": title }, element("h3", {}, title), chips, sliders);
  return { root, chips, sliders, worn: null };
}

/** @param {string} name @param {number} count @param {boolean} open @returns {Slot} */
function foldingSlot(name, count, open) {
  const chips = element("div", { class: "chips" });
  const sliders = element("div", { class: "sliders" });
  const worn = element("span", { class: "worn" });
  const title = t(capitalised(name));
  const summary = element("summary", {}, element("h3", {}, title), worn,
    element("span", { class: "count", "aria-hidden": "true" }, String(count)));
  const inside = element("div", { role: "group", "aria-label": title }, chips, sliders);
  return { root: element("details", { class: "slot folding", open }, summary, inside), chips, sliders, worn };
}

/**
 * @param {Slot} slot @param {Attribute} attribute @param {import("./link.js").Send} send
 * @param {() => void} refresh @returns {Part}
 */
function addAttribute({ chips, sliders }, { name, label, key }, send, refresh) {
  const chip = element("button", { type: "button", class: "chip", "aria-pressed": "false", "data-attribute": name },
    element("span", {}, t(label)));
  if (key) {
    chip.append(element("kbd", { "aria-hidden": "true" }, key));
    chip.setAttribute("aria-keyshortcuts", key);
  }
  chip.addEventListener("click", () => send({ action: "attribute", name }));
  chips.append(chip);
  const slider = createSlider({
    name: t(label),
    most: 1,
    onValue: (weight) => send({ action: "attribute", name, weight }),
    onIdle: refresh,
  });
  slider.root.hidden = true;
  sliders.append(slider.root);
  return {
    chip,
    show: ({ target }) => {
      chip.setAttribute("aria-pressed", String(target > 0));
      chip.style.setProperty("--fill", `${target * 100}%`);
      slider.set(target);
      // A slider at 0 stays while it is in use: it must be possible to drag it up again.
      slider.root.hidden = target === 0 && !slider.isBusy() && !slider.root.contains(document.activeElement);
    },
  };
}
