/** The browser's camera: which there are, switching one on, and what went wrong in words. Its picture is never shown. */

import { publish } from "./whip.js";

/**
 * @typedef {{phase: "off" | "asking" | "starting" | "on" | "failed", message: string}} CameraStatus
 * `asking`: the browser asks its user just now; `message`: what went wrong and what to do
 */

/**
 * @param {import("./api.js").Api} api
 * @param {(status: CameraStatus) => void} onStatus
 * @param {() => boolean} isServerAlive
 */
export function createCamera(api, onStatus, isServerAlive) {
  /** @type {MediaStreamTrack | null} */
  let track = null;
  /** @type {ReturnType<typeof publish> | null} */
  let publication = null;
  /** @type {MediaStreamTrack | null} */
  let voice = null;
  let turn = 0; // counts starts and stops, so that a late answer to an old start is not taken for the new one's

  function release() {
    turn += 1;
    publication?.stop();
    track?.stop();
    publication = track = null;
  }

  /** @param {CameraStatus["phase"]} phase @param {string} [message] */
  const tell = (phase, message = "") => onStatus({ phase, message });

  return {
    /** @param {string} deviceId from `listCameras`; "" for the browser's choice */
    start: async (deviceId) => {
      release();
      const mine = turn;
      tell("asking");
      try {
        const opened = await open(deviceId);
        if (mine !== turn) {
          opened.stop();
          return;
        }
        track = opened;
      } catch (error) {
        if (mine === turn) tell("failed", inWords(error));
        return;
      }
      track.addEventListener("ended", () => {
        if (mine !== turn) return;
        release();
        tell("failed", "The camera was unplugged or taken away. Plug it in and turn it on again.");
      });
      tell("starting");
      let wasOn = false;
      publication = publish(api, track, (phase) => {
        if (mine !== turn) return;
        if (phase.name === "live") {
          tell("on");
        } else if (phase.name === "connecting") {
          tell("starting");
        } else if (phase.name === "refused") {
          release();
          tell("failed", `perse-live does not take the camera: ${phase.reason}.`);
        } else if (wasOn && isServerAlive()) {
          // The server ended it: it takes one camera, the newest. Trying again would take it from the other, and so on for ever.
          release();
          tell("failed", "Another page or program became the camera. Turn yours on to take over again.");
        } else {
          tell("starting", "The camera's connection broke; trying again.");
        }
        wasOn = phase.name === "live";
      });
      publication.speak(voice);
    },

    /** @param {MediaStreamTrack | null} track the microphone's, sent along with the pictures; null: nothing is heard */
    speak: (track) => {
      voice = track;
      publication?.speak(track);
    },

    stop: () => {
      release();
      tell("off");
    },

    /** @returns {string} the id of the camera that is on; "" for none */
    current: () => track?.getSettings().deviceId ?? "",
  };
}

/** @returns {Promise<{id: string, label: string}[]>} as far as the browser tells: before permission it may hide their names */
export async function listCameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const cameras = devices.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId !== "");
  return cameras.map(({ deviceId, label }, index) => ({ id: deviceId, label: label || `Camera ${index + 1}` }));
}

/** @returns {Promise<boolean>} whether the browser will not ask any more; false where it does not say */
export async function mayUseCamera() {
  try {
    const { state } = await navigator.permissions.query({ name: /** @type {PermissionName} */ ("camera") });
    return state === "granted";
  } catch {
    return false;
  }
}

/** @param {string} deviceId */
async function open(deviceId) {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) throw new DOMException("", "SecurityError");
  const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
  const size = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video: { ...which, ...size }, audio: false });
  const [track] = stream.getVideoTracks();
  if (!track) throw new DOMException("", "NotFoundError");
  track.contentHint = "motion";
  return track;
}

/** @param {unknown} error from getUserMedia @returns {string} what happened and what to do */
export function inWords(error) {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
      return "The browser does not let this page use the camera. Allow it with the icon next to the address, then try again.";
    case "NotFoundError":
      return "No camera found. Plug one in, then try again.";
    case "NotReadableError":
    case "AbortError":
      return "The camera is busy: another program, perhaps a call, is using it. Close it there, then try again.";
    case "OverconstrainedError":
      return "That camera is not there any more. Choose another one.";
    case "SecurityError":
      return "Browsers give the camera only to pages on this same computer or over https. Open perse-live at 127.0.0.1, or start it with --cert and --key.";
    default:
      return `The camera could not be turned on${error instanceof Error && error.message ? `: ${error.message}` : ""}.`;
  }
}
