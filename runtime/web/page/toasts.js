/** Short notices that come and go. */

import { capitalised, element, icon } from "./dom.js";
import { t } from "./language.js";

const SHOWN_MS = 7000;
const MOST = 3;

/**
 * @param {HTMLElement} list with aria-live
 * @returns {(text: string, tone?: "notice" | "error", action?: {name: string, act: () => Promise<unknown>}) => void}
 *   shows a text, once at a time, with a button for something that can be done about it
 */
export function createToasts(list) {
  const say = (/** @type {string} */ said, tone = "notice", /** @type {{name: string, act: () => Promise<unknown>} | undefined} */ action = undefined) => {
    const text = capitalised(said);
    for (const old of [...list.children]) {
      if (old.firstElementChild?.textContent === text) old.remove();
    }
    while (list.children.length >= MOST) list.firstElementChild?.remove();
    const close = element("button", { type: "button", class: "tool", "aria-label": t("Dismiss") }, icon("close"));
    const toast = element("div", { class: `toast toast-${tone}` }, element("p", {}, text));
    const remove = () => toast.remove();
    if (action) {
      const button = element("button", { type: "button", class: "toast-action" }, action.name);
      button.addEventListener("click", () => {
        remove();
        action.act().catch((error) => say(error.message, "error"));
      });
      toast.append(button);
    }
    toast.append(close);
    close.addEventListener("click", remove);
    let timer = setTimeout(remove, SHOWN_MS);
    // Nobody should have to read against the clock.
    toast.addEventListener("pointerenter", () => clearTimeout(timer));
    toast.addEventListener("pointerleave", () => {
      timer = setTimeout(remove, SHOWN_MS);
    });
    list.append(toast);
  };
  return say;
}

/**
 * The session's notices: each is shown when it comes up, not for as long as it holds.
 *
 * @param {import("./store.js").Store} store @param {(text: string) => void} say
 */
export function mountNotices(store, say) {
  /** @type {string[]} */
  let known = [];
  store.subscribe(({ state }) => {
    if (!state || state.notices === known) return;
    const fresh = state.notices.filter((notice) => !known.includes(notice));
    known = state.notices; // before showing it: listeners may change the store
    for (const notice of fresh) say(notice);
  });
}
