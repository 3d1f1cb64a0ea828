/** What the page knows, and who wants to hear of it. */

/**
 * @typedef {import("./api.js").State} State
 * @typedef {import("./api.js").Stats} Stats
 * @typedef {import("./retry.js").Phase} Phase
 * @typedef {import("./camera.js").CameraStatus} CameraStatus
 * @typedef {{
 *   state: State | null,
 *   stats: Stats | null,
 *   connection: Phase,
 *   camera: CameraStatus,
 *   playing: boolean,
 *   matte: boolean,
 * }} Knowledge `playing`: a picture is on the stage; `matte`: it is drawn with its transparency
 */

/** A place for all that is known; every change of it is told to all who subscribed, at once. */
export function createStore() {
  /** @type {Knowledge} */
  let known = {
    state: null,
    stats: null,
    connection: { name: "connecting", failures: 0 },
    camera: { phase: "off", message: "" },
    playing: false,
    matte: false,
  };
  /** @type {Set<(known: Knowledge) => void>} */
  const listeners = new Set();

  return {
    get: () => known,

    /** @param {Partial<Knowledge>} change */
    set: (change) => {
      known = { ...known, ...change };
      for (const listener of listeners) listener(known);
    },

    /** @param {(known: Knowledge) => void} listener called now and after every change */
    subscribe: (listener) => {
      listeners.add(listener);
      listener(known);
    },
  };
}

/** @typedef {ReturnType<typeof createStore>} Store */
