/** The browser's microphone: the voice of the avatar, sent along with the camera once its button is pressed, and never before. */

import { t } from "./language.js";

/**
 * @param {HTMLButtonElement} button hidden where the session takes no sound from this page
 * @param {(track: MediaStreamTrack | null) => void} speak sends a track along with the camera's pictures, or none any more
 * @param {import("./store.js").Store} store @param {(message: string, kind: "error") => void} say
 */
export function mountMicrophone(button, speak, store, say) {
  /** @type {MediaStreamTrack | null} */
  let track = null;
  let turn = 0; // counts clicks, so that a late permission for an old one is not taken for the new one's

  /** @param {MediaStreamTrack | null} next */
  function change(next) {
    turn += 1;
    track?.stop();
    track = next;
    speak(next);
    show();
  }

  async function turnOn() {
    const mine = ++turn;
    try {
      const opened = await open();
      if (mine !== turn) {
        opened.stop();
        return;
      }
      opened.addEventListener("ended", () => {
        if (opened !== track) return;
        change(null);
        say(t("The microphone was unplugged or taken away. Plug it in and turn it on again."), "error");
      });
      change(opened);
    } catch (error) {
      if (mine === turn) say(t(inWords(error)), "error");
    }
  }

  function show() {
    button.setAttribute("aria-pressed", String(track !== null));
    button.title = t(track ? "Turn your microphone off" : "Let viewers hear this browser's microphone, in time with the picture");
  }

  button.addEventListener("click", () => {
    if (track) change(null);
    else void turnOn();
  });
  store.subscribe(({ state, camera }) => {
    const mayBe = state?.source.kind === "browser" && camera.phase === "on" && (track !== null || state.voice === null);
    button.hidden = !mayBe;
    if (track && (camera.phase === "off" || camera.phase === "failed")) change(null); // without a camera nobody speaks
  });
  show();
}

async function open() {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) throw new DOMException("", "SecurityError");
  const wishes = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  const [track] = (await navigator.mediaDevices.getUserMedia({ audio: wishes, video: false })).getAudioTracks();
  if (!track) throw new DOMException("", "NotFoundError");
  return track;
}

/** @param {unknown} error from getUserMedia @returns {string} what happened and what to do */
function inWords(error) {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
      return "The browser does not let this page use the microphone. Allow it with the icon next to the address, then try again.";
    case "NotFoundError":
      return "No microphone found. Plug one in, then try again.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone is busy: another program is using it. Close it there, then try again.";
    case "SecurityError":
      return "Browsers give the microphone only to pages on this same computer or over https.";
    default:
      return "The microphone could not be turned on.";
  }
}
