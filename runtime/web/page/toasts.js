/** Short notices that come and go. */

import { capitalised, element, icon } from "./dom.js";

const SHOWN_MS = 7000;
const MOST = 3;

/**
 * @param {HTMLElement} list with aria-live
 * @returns {(text: string, tone?: "notice" | "error") => void} shows a text, once at a time
 */
export function createToasts(list) {
  return (said, tone = "notice") => {
    const text = capitalised(said);
    for (const old of [...list.children]) {
      if (old.firstElementChild?.textContent === text) old.remove();
    }
    while (list.children.length >= MOST) list.firstElementChild?.remove();
    const close = element("button", { type: "button", class: "tool", "aria-label": "Dismiss" }, icon("close"));
    const toast = element("div", { class: `toast toast-${tone}` }, element("p", {}, text), close);
    const remove = () => toast.remove();
    close.addEventListener("click", remove);
    let timer = setTimeout(remove, SHOWN_MS);
    // Nobody should have to read against the clock.
    toast.addEventListener("pointerenter", () => clearTimeout(timer));
    toast.addEventListener("pointerleave", () => {
      timer = setTimeout(remove, SHOWN_MS);
    });
    list.append(toast);
  };
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
    known = state.notices; // before saying it: whoever hears of it may change the store
    for (const notice of fresh) say(notice);
  });
}
