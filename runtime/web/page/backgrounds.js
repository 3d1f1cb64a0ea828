/** What stands behind the avatar, as swatches. */

import { element } from "./dom.js";
import { fillChoices } from "./choices.js";
import { t } from "./language.js";
import { throttled } from "./throttle.js";

/** @type {Record<string, string>} */
const LABELS = { photo: "Photo, blurred", image: "Picture", green: "Green screen", alpha: "Transparent" };
/** @type {Record<string, string>} */
const CAPTIONS = { photo: "Photo", green: "Green", alpha: "Clear", image: "Picture" };
/** Colours that are always offered; any other is the user's own. @type {Record<string, string>} */
const COLOURS = { d9dbde: "Mist", efe6d8: "Linen", "9fb3a5": "Sage", "55638c": "Perse", "23262b": "Ink" };

const isColour = (/** @type {string} */ background) => /^[0-9a-f]{6}$/i.test(background);

/**
 * @param {HTMLElement} list
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send
 */
export function mountBackgrounds(list, store, send) {
  let built = "";
  /** @type {(value: string | null) => void} */
  let mark = () => {};
  const own = ownColour((background) => send({ action: "background", background }));

  store.subscribe(({ state }) => {
    if (!state) return;
    const offered = new Set(state.backgrounds.map(kindOf));
    const kinds = Object.keys(LABELS).filter((kind) => offered.has(kind)); // always in the same order, whatever is chosen
    const shape = JSON.stringify(kinds);
    if (shape !== built) {
      built = shape;
      list.replaceChildren();
      const options = [...Object.keys(COLOURS), ...kinds].map((value) => ({ value, label: labelOf(value), look: lookOf(value) }));
      mark = fillChoices(list, options, (background) => send({ action: "background", background }));
      list.append(own.root);
    }
    const background = kindOf(state.background);
    mark(background);
    own.show(isColour(background) && !(background in COLOURS) ? background : null);
  });
}

/** As it is offered: a picture's path is a picture. @param {string} background */
function kindOf(background) {
  if (background.startsWith("kept-")) return background;
  if (isColour(background)) return background.toLowerCase();
  return background in LABELS ? background : "image";
}

/** @param {string} background */
const labelOf = (background) => t(COLOURS[background] ?? LABELS[background] ?? background);

/** @param {string} background */
function lookOf(background) {
  const colour = isColour(background);
  const swatch = element("span", { class: colour ? "swatch" : `swatch swatch-${background}` });
  if (colour) swatch.style.backgroundColor = `#${background}`;
  const caption = t(COLOURS[background] ?? CAPTIONS[background] ?? background);
  return element("span", { class: "choice-look" }, swatch, element("span", { class: "caption" }, caption));
}

/** @param {(background: string) => void} onColour */
function ownColour(onColour) {
  const input = element("input", { type: "color", "aria-label": t("Own colour"), value: "#55638c" });
  const swatch = element("span", { class: "swatch swatch-own" });
  const root = element("label", { class: "choice own-colour", title: t("Own colour") }, input,
    element("span", { class: "choice-look" }, swatch, element("span", { class: "caption" }, t("Own"))));
  const send = throttled(onColour, 100);
  input.addEventListener("input", () => send(input.value.slice(1).toLowerCase()));
  return {
    root,
    /** @param {string | null} colour the own colour that is chosen, if one is */
    show: (colour) => {
      root.classList.toggle("chosen", colour !== null);
      swatch.style.backgroundColor = colour === null ? "" : `#${colour}`;
      swatch.classList.toggle("filled", colour !== null);
    },
  };
}
