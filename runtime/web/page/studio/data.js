/** What the page knows of the studio: kept up to date while the page is open. */

/**
 * @typedef {{name: string, label: string, slot: string}} OwnLook
 * @typedef {{
 *   id: string, name: string, version: string, face: string, made: string, modified: number, bytes: number, likeness: number | null,
 *   warnings: string[], looks: OwnLook[], problem: "" | "old" | "new" | "damaged", on_stage: boolean, busy: boolean,
 *   upgradable: boolean, photo: boolean,
 * }} Avatar
 * @typedef {{
 *   id: string, kind: "build" | "looks" | "look-from-photo" | "look-from-text" | "previews", title: string, avatar: string,
 *   state: "queued" | "running" | "done" | "failed" | "cancelled", step: string, share: number, left: number | null,
 *   pictures: {name: string, file: string}[], warnings: string[], error: string, result: string, seconds: number,
 *   photo?: Photo, crop?: [number, number, number, number] | null, of?: string, name?: string,
 * }} Job
 * @typedef {{name: string, key: string, weights: Record<string, number>}} Preset
 * @typedef {{
 *   number: number, folder: string, writable: boolean, own_machine: boolean, avatars: Avatar[], jobs: Job[], presets: Preset[],
 *   backgrounds: string[], default_looks: string[], parts: string[], text_looks: {problem: "" | "unset" | "missing" | "package", settings: string},
 * }} Studio
 * @typedef {{left: number, top: number, width: number, height: number, yaw: number, pitch: number, roll: number,
 *   problems: string[], crop: [number, number, number, number]}} Face
 * @typedef {{id: string, name: string, width: number, height: number, faces: Face[], warnings: string[]}} Photo
 * @typedef {{name: string, label: string, slot: string, key: number, picture: boolean, built_in: boolean}} Look
 */

const PAUSE_MS = 2000; // after a request that nobody answered

/** @param {import("../api.js").Api} api */
export function createStudio(api) {
  /** @type {Studio | null} */
  let known = null;
  /** @type {Set<(studio: Studio) => void>} */
  const listeners = new Set();

  /** @param {Studio} studio */
  function learn(studio) {
    known = studio;
    for (const listener of [...listeners]) listener(studio);
  }

  async function follow() {
    for (;;) {
      try {
        learn(await api.call("GET", known ? `/api/studio?after=${known.number}` : "/api/studio"));
      } catch {
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS)); // the video connection reports its state
      }
    }
  }

  return {
    api,
    start: () => void follow(),
    get: () => known,
    refresh: async () => learn(await api.call("GET", "/api/studio")),

    /**
     * @param {(studio: Studio) => void} listener called now, where something is known, and after every change
     * @returns {() => void} ends that
     */
    subscribe: (listener) => {
      listeners.add(listener);
      if (known) listener(known);
      return () => listeners.delete(listener);
    },

    /** @param {string} id @returns {Avatar | undefined} */
    avatar: (id) => known?.avatars.find((one) => one.id === id),
    /** @param {string} id @returns {Job | undefined} */
    job: (id) => known?.jobs.find((one) => one.id === id),
  };
}

/** @typedef {ReturnType<typeof createStudio>} StudioData */
