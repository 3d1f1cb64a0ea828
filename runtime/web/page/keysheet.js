/** The sheet that lists all keys. */

import { describeAction } from "./actions.js";
import { isSearchable } from "./attributes.js";
import { capitalised, element } from "./dom.js";
import { t } from "./language.js";

/** @type {[string, RegExp][]} */
const GROUPS = [
  ["Attributes", /^(?:attribute|next-attribute|previous-attribute|no-attributes)\b/],
  ["Avatars", /^avatar\b/],
  ["Session", /./],
];
const PAGE = [["?", "These keys"], ["/", "Find a look"], ["F", "Full screen"], ["I", "Figures"], ["Esc", "Close a dialog"]];

/**
 * @param {{dialog: HTMLDialogElement, list: HTMLElement, open: HTMLButtonElement, close: HTMLButtonElement}} places
 * @param {import("./store.js").Store} store
 * @returns {() => void} opens the sheet, or closes it
 */
export function mountKeySheet({ dialog, list, open, close }, store) {
  const toggle = () => {
    if (dialog.open) {
      dialog.close();
      return;
    }
    const { state } = store.get();
    list.replaceChildren(...(state ? sessionKeys(state) : []), group(t("This page"), pageKeys(state)));
    dialog.showModal();
  };
  open.addEventListener("click", toggle);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // on the backdrop
  });
  return toggle;
}

/** @param {import("./api.js").State} state */
function sessionKeys(state) {
  /** @type {Map<string, [string, string][]>} */
  const groups = new Map(GROUPS.map(([title]) => [title, []]));
  for (const [key, action] of Object.entries(state.keys)) {
    const words = describeAction(action, state);
    const title = GROUPS.find(([, pattern]) => pattern.test(action))?.[0];
    if (title === "Avatars" && state.avatars.length < 2) continue; // nothing to choose from
    if (words && title) groups.get(title)?.push([shown(key), words]);
  }
  return [...groups].filter(([, rows]) => rows.length).map(([title, rows]) => group(t(title), rows));
}

/** @param {import("./api.js").State | null} state @returns {[string, string][]} */
function pageKeys(state) {
  const taken = state?.keys ?? {};
  const useless = isSearchable(state?.attributes ?? []) ? "" : "/";
  return /** @type {[string, string][]} */ (PAGE.filter(([key = ""]) => !(key.toLowerCase() in taken) && key !== useless));
}

/** @param {string} title @param {[string, string][]} rows */
function group(title, rows) {
  const list = element("dl");
  for (const [key, words] of rows) {
    const keys = key.split(/\s?\+\s?(?=.)/).map((part) => element("kbd", {}, part));
    list.append(element("div", {}, element("dt", {}, ...keys), element("dd", {}, t(words))));
  }
  return element("section", {}, element("h3", {}, title), list);
}

/** @param {string} key */
function shown(key) {
  return key.replace(/[<>]/g, "").split(/\+(?=.)/).map(capitalised).join("+");
}
