/** The round buttons under the stage. */

/**
 * @param {{calibrate: HTMLButtonElement, mirror: HTMLButtonElement, hide: HTMLButtonElement, record: HTMLButtonElement}} buttons
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send
 */
export function mountDock({ calibrate, mirror, hide, record }, store, send) {
  calibrate.addEventListener("click", () => send({ action: "recalibrate", seconds: 3 }));
  mirror.addEventListener("click", () => send({ action: "mirror" }));
  hide.addEventListener("click", () => send({ action: "hide" }));
  record.addEventListener("click", () => send({ action: "record" }));

  const named = /** @type {const} */ ([[calibrate, "recalibrate"], [mirror, "mirror"], [hide, "hide"], [record, "record"]]);
  store.subscribe(({ state }) => {
    if (!state) return;
    mirror.setAttribute("aria-pressed", String(state.mirror));
    hide.setAttribute("aria-pressed", String(state.hidden));
    record.setAttribute("aria-pressed", String(state.recording !== null));
    calibrate.disabled = state.source.kind === "none";
    for (const [button, action] of named) {
      const key = Object.keys(state.keys).find((candidate) => state.keys[candidate] === action);
      const tip = button.dataset.tip ?? "";
      button.title = key ? `${tip} (${key.toUpperCase()})` : tip;
      if (key) button.setAttribute("aria-keyshortcuts", key);
    }
  });
}
