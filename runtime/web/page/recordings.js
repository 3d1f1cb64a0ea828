/** The last recording that was finished, to be kept: perse-live wrote it on its own computer, this brings it to the viewer's. */

import { setText } from "./dom.js";

/**
 * @param {{section: HTMLElement, name: HTMLElement, link: HTMLAnchorElement}} places hidden until there is one
 * @param {import("./api.js").Api} api @param {import("./store.js").Store} store
 * @param {(message: string) => void} onError
 */
export function mountRecordings({ section, name, link }, api, store, onError) {
  link.href = "#";
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const saved = document.createElement("a");
    saved.download = link.download;
    api.recordingAddress().then((address) => {
      saved.href = address;
      saved.click();
    }, (error) => onError(error.message));
  });
  store.subscribe(({ state }) => {
    const recorded = state?.recorded ?? null;
    section.hidden = recorded === null;
    if (recorded === null) return;
    setText(name, recorded);
    link.download = recorded;
    link.setAttribute("aria-label", `Save ${recorded}`);
  });
}
