/** Pictures of the user's own behind the avatar: uploaded once, kept in the library. */

import { element, icon } from "../dom.js";
import { t } from "../language.js";
import { PHOTOS, button, during, filePicker } from "./parts.js";
import { pictureAddress } from "./pictures.js";

/**
 * @param {HTMLElement} tools @param {HTMLElement} swatches where the others are @param {import("./data.js").StudioData} studio
 * @param {import("../store.js").Store} store @param {import("../link.js").Send} send @param {import("./app.js").Say} say
 */
export function mountOwnBackgrounds(tools, swatches, studio, store, send, say) {
  const list = element("div", { class: "own-backgrounds", role: "group", "aria-label": t("Your own backgrounds") });
  const picker = filePicker(PHOTOS, false, (files) => void during(add, () => keep(files[0]), say));
  const add = button("Add a picture", () => picker.click(), { icon: "plus", kind: "small" });
  tools.append(add, picker);
  tools.hidden = false;
  swatches.after(list);
  let built = "";

  /** @param {File | undefined} file */
  async function keep(file) {
    if (!file) return;
    const { name } = await studio.api.upload("/api/studio/backgrounds", file, file.name);
    await studio.refresh();
    send({ action: "background", background: name });
  }

  function show() {
    const kept = studio.get()?.backgrounds ?? [];
    if (kept.join() !== built) {
      built = kept.join();
      list.replaceChildren(...kept.map((name, k) => {
        const swatch = element("span", { class: "swatch" });
        void pictureAddress(studio.api, `/api/studio/backgrounds/${name}`).then((address) => {
          swatch.style.backgroundImage = `url("${address}")`;
        }, () => {});
        const choose = element("button", { type: "button", class: "own-background", "data-name": name, "aria-pressed": "false", "aria-label": t("Background {number}", { number: k + 1 }) }, swatch);
        choose.addEventListener("click", () => send({ action: "background", background: name }));
        const drop = element("button", { type: "button", class: "tool small", "aria-label": t("Delete background {number}", { number: k + 1 }) }, icon("close"));
        drop.addEventListener("click", () => void studio.api.call("DELETE", `/api/studio/backgrounds/${name}`).then(() => {
          if (store.get().state?.background === name) send({ action: "background", background: "d9dbde" });
        }, (error) => say(error.message, "error")));
        return element("span", { class: "own-place" }, choose, drop);
      }));
    }
    for (const choose of list.querySelectorAll("button.own-background")) {
      choose.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (choose).dataset.name === store.get().state?.background));
    }
  }
  studio.subscribe(show);
  store.subscribe(show);
}
