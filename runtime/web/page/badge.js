/** Where the badge stands that says "this is an avatar", and taking it off, which needs a reason. */

import { element, setText } from "./dom.js";
import { t } from "./language.js";
import { fillChoices } from "./choices.js";

const CORNERS = /** @type {const} */ ([
  ["top-left", "Top left"], ["top-right", "Top right"], ["bottom-left", "Bottom left"], ["bottom-right", "Bottom right"],
]);

/**
 * @param {{
 *   corners: HTMLElement, off: HTMLButtonElement, note: HTMLElement,
 *   dialog: HTMLDialogElement, form: HTMLFormElement, reason: HTMLInputElement, cancel: HTMLButtonElement,
 * }} places
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send
 */
export function mountBadge({ corners, off, note, dialog, form, reason, cancel }, store, send) {
  const options = CORNERS.map(([value, label]) => ({ value, label: t(label), look: element("span", { class: `corner ${value}` }) }));
  const mark = fillChoices(corners, options, (place) => send({ action: "badge", place }));

  off.addEventListener("click", () => {
    if (store.get().state?.badge.place === "off") {
      send({ action: "badge", place: "bottom-right" });
      return;
    }
    reason.value = "";
    dialog.showModal();
  });
  cancel.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!reason.value.trim()) return;
    send({ action: "badge", place: "off", reason: reason.value.trim() });
    dialog.close();
  });

  store.subscribe(({ state }) => {
    if (!state) return;
    const { place, reason: given } = state.badge;
    const isOff = place === "off";
    mark(CORNERS.find(([value]) => value === place)?.[0] ?? null);
    off.setAttribute("aria-pressed", String(isOff));
    setText(note, isOff ? t("Off: {reason}. Choose a corner to put it back.", { reason: given }) : t("Viewers see that they look at an avatar."));
  });
}
