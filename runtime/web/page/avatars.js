/** Which avatar is shown, where several are loaded. */

import { element } from "./dom.js";
import { fillChoices } from "./choices.js";

/**
 * @param {{section: HTMLElement, list: HTMLElement}} places hidden while there is only one
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send
 */
export function mountAvatars({ section, list }, store, send) {
  let built = "";
  /** @type {(value: string | null) => void} */
  let mark = () => {};
  store.subscribe(({ state }) => {
    if (!state) return;
    const shape = JSON.stringify(state.avatars);
    if (shape !== built) {
      built = shape;
      list.replaceChildren();
      const options = state.avatars.map((name, index) => ({
        value: String(index + 1),
        label: name,
        look: element("span", { class: "segment" }, name),
      }));
      mark = fillChoices(list, options, (number) => send({ action: "avatar", number: Number(number) }));
      section.hidden = state.avatars.length < 2;
    }
    mark(String(state.avatar));
  });
}
