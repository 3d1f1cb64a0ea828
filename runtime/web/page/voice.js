/** The driver's voice: muted for everybody, and heard in this page or not. */

import { t } from "./language.js";

/**
 * @param {{video: HTMLVideoElement, mute: HTMLButtonElement, listen: HTMLButtonElement}} places both buttons are hidden without a voice
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send
 */
export function mountVoice({ video, mute, listen }, store, send) {
  mute.addEventListener("click", () => send({ action: "mute" }));
  listen.addEventListener("click", () => {
    video.muted = !video.muted; // it begins muted: the driver's own microphone would hear the loudspeaker
    show();
  });

  function show() {
    const text = t(video.muted ? "Listen to the voice" : "Stop listening");
    listen.setAttribute("aria-pressed", String(!video.muted));
    listen.setAttribute("aria-label", text);
    listen.title = text;
  }

  store.subscribe(({ state, playing }) => {
    const voice = state?.voice ?? null;
    mute.hidden = voice === null;
    listen.hidden = voice === null || !playing;
    if (!voice || !state) return;
    mute.setAttribute("aria-pressed", String(voice.muted));
    const key = Object.keys(state.keys).find((candidate) => state.keys[candidate] === "mute");
    const tip = voice.problem || t("Mute your voice for everybody");
    mute.title = key ? `${tip} (${key.toUpperCase()})` : tip;
    if (key) mute.setAttribute("aria-keyshortcuts", key);
  });
  show();
}
