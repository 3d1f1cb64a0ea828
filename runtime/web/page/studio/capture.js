/** A picture from the camera: an oval to sit in, advice, a countdown, and the sharpest picture of a second. */

import { inWords, listCameras } from "../camera.js";
import { element, icon, setText } from "../dom.js";
import { t } from "../language.js";
import { button } from "./parts.js";

/**
 * @typedef {import("./app.js").Shell} Shell
 * @typedef {{pose: string, title: string, text: string}} Shot
 */

const LOOK_MS = 180; // between two looks of perse-live at the picture
const LOOK_WIDTH = 480; // pixels
const CALM_MS = 900; // that all must be well before the countdown begins
const COUNT_FROM = 3;
const BEST_OF = 6; // pictures of the last second
const QUALITY = 0.95;

/** @type {Shot} */
const FRONT = { pose: "front", title: "Look into the camera", text: "Face relaxed, mouth closed." };
/** @type {Shot[]} */
const MORE = [
  { pose: "right", title: "Turn your head to the left", text: "About as far as a shoulder, eyes too." },
  { pose: "left", title: "Turn your head to the right", text: "About as far as a shoulder, eyes too." },
  { pose: "eyes-shut", title: "Close your eyes", text: "You will hear when the picture is taken." },
  { pose: "teeth", title: "Show your teeth", text: "A wide smile, please." },
];
/** @type {Record<string, string>} what perse-live advises, in words */
const HINTS = {
  "no-face": "No face in sight", several: "Only one person, please", closer: "Come closer", back: "Move back a little",
  center: "Move into the oval", light: "More light on your face", bright: "Less light on your face", uneven: "Light from the front, not from one side",
  straight: "Look straight ahead", level: "Hold your head upright", glare: "Something shines at your eyes: glasses off, or turn the lamp",
  "open-eyes": "Open your eyes", relax: "Close your mouth", "turn-left": "A little farther to the right", "turn-right": "A little farther to the left",
  "shut-eyes": "Close both eyes", "show-teeth": "Show your teeth",
};
/** Advice that spoils a picture; the rest may stay. */
const MUST = new Set(["no-face", "several", "closer", "back", "center", "straight", "open-eyes", "turn-left", "turn-right", "shut-eyes", "show-teeth"]);

/**
 * @param {Shell} shell @param {boolean} more only the further pictures @returns {{root: HTMLElement, end: () => void}}
 */
export function captureView(shell, more) {
  const { studio, draft, say, go } = shell;
  void studio.api.call("POST", "/api/studio/prepare").catch(() => {});
  const shots = more ? MORE : [FRONT];
  let at = 0;
  const video = element("video", { playsinline: true, muted: true, class: "capture-video", "aria-label": t("Your camera") });
  video.muted = true;
  const hint = element("p", { class: "capture-hint", role: "status", "aria-live": "polite" });
  const count = element("div", { class: "capture-count", "aria-hidden": "true", hidden: true });
  const flash = element("div", { class: "capture-flash", "aria-hidden": "true" });
  const oval = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  oval.setAttribute("viewBox", "0 0 400 300");
  oval.setAttribute("class", "capture-oval");
  oval.setAttribute("aria-hidden", "true");
  oval.innerHTML = '<path class="veil" fill-rule="evenodd" d="M0 0h400v300H0zM200 38c46 0 72 40 72 96s-28 104-72 104-72-48-72-104 26-96 72-96z"/><path class="rim" d="M200 38c46 0 72 40 72 96s-28 104-72 104-72-48-72-104 26-96 72-96z"/>';
  const title = element("h2");
  const text = element("p", { class: "hint" });
  const now = button("Take it now", () => void take(), { icon: "camera" });
  const skip = button(more ? "Skip" : "Back", () => (more ? next() : go("new")), { kind: "quiet" });
  const choice = element("select", { "aria-label": t("Which camera") });
  const places = element("div", { class: "capture-dots", "aria-hidden": "true" }, ...shots.map(() => element("span")));
  const stage = element("div", { class: "capture-stage" }, video, oval, count, flash, hint);
  const failed = element("div", { class: "problem large", role: "alert", hidden: true });
  const root = element("div", { class: "view capture" },
    element("div", { class: "view-head" }, element("div", {}, title, text), element("div", { class: "view-tools" }, choice)),
    failed, stage, element("div", { class: "capture-buttons" }, skip, ...(shots.length > 1 ? [places] : []), now),
    element("p", { class: "promise" }, icon("lock"), t("The picture goes to perse-live on your computer, and nowhere else.")));

  /** @type {MediaStream | null} */
  let stream = null;
  let ended = false;
  let wellSince = 0;
  let taking = false;
  const canvas = element("canvas");

  async function open(deviceId = "") {
    stream?.getTracks().forEach((track) => track.stop());
    try {
      if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "SecurityError");
      const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
      const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
      const opened = await navigator.mediaDevices.getUserMedia({ video: { ...which, ...size }, audio: false });
      if (ended) {
        opened.getTracks().forEach((track) => track.stop());
        return;
      }
      stream = opened;
      video.srcObject = stream;
      await video.play();
      failed.hidden = true;
      stage.classList.add("on");
      const cameras = await listCameras();
      choice.replaceChildren(...cameras.map(({ id, label }) => element("option", { value: id }, label)));
      choice.value = stream.getVideoTracks()[0]?.getSettings().deviceId ?? "";
      choice.hidden = cameras.length < 2;
    } catch (error) {
      if (ended) return;
      failed.hidden = false;
      failed.replaceChildren(icon("camera-off"), element("p", {}, t(inWords(error))));
      stage.classList.remove("on");
    }
  }
  choice.hidden = true;
  choice.addEventListener("change", () => void open(choice.value));

  /** @param {number} width @returns {Promise<Blob | null>} the picture now, JPEG */
  function picture(width) {
    if (!video.videoWidth) return Promise.resolve(null);
    const scale = Math.min(1, width / video.videoWidth);
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", width > LOOK_WIDTH ? QUALITY : 0.8));
  }

  /** @param {Blob | null} frame */
  async function look(frame) {
    return frame ? studio.api.look(`/api/studio/hints?pose=${shots[at]?.pose ?? "front"}`, frame).catch(() => null) : null;
  }

  async function watch() {
    while (!ended) {
      if (!taking && stage.classList.contains("on")) {
        const said = await look(await picture(LOOK_WIDTH));
        if (said && !taking && !ended) advise(said.hints);
      }
      await pause(LOOK_MS);
    }
  }

  /** @param {string[]} hints */
  function advise(hints) {
    const first = hints[0];
    const spoils = hints.some((one) => MUST.has(one));
    stage.classList.toggle("good", !spoils);
    setText(hint, first ? t(HINTS[first] ?? first) : t("Good. Hold still."));
    if (spoils) wellSince = 0;
    else if (!wellSince) wellSince = performance.now();
    else if (performance.now() - wellSince > CALM_MS) void countdown();
  }

  async function countdown() {
    taking = true;
    count.hidden = false;
    for (let left = COUNT_FROM; left > 1 && !ended; left -= 1) {
      setText(count, String(left));
      await pause(700);
      const said = await look(await picture(LOOK_WIDTH));
      if (said?.hints.some((/** @type {string} */ one) => MUST.has(one))) {
        count.hidden = true;
        taking = false;
        wellSince = 0;
        advise(said.hints);
        return;
      }
    }
    setText(count, "1");
    await take();
  }

  /** The sharpest picture of the next second. */
  async function take() {
    taking = true;
    now.disabled = true;
    setText(hint, t("Hold still"));
    /** @type {{blob: Blob, sharpness: number} | null} */
    let best = null;
    for (let k = 0; k < BEST_OF && !ended; k += 1) {
      const small = await picture(LOOK_WIDTH * 1.5);
      const blob = await picture(4096);
      const said = await look(small);
      const sharpness = (said?.sharpness ?? 0) - (said?.hints.some((/** @type {string} */ one) => MUST.has(one)) ? 1 : 0);
      if (blob && (!best || sharpness > best.sharpness)) best = { blob, sharpness };
      await pause(60);
    }
    count.hidden = true;
    if (!best || ended) {
      taking = now.disabled = false;
      return;
    }
    flash.classList.remove("now");
    void flash.offsetWidth; // restarts the animation
    flash.classList.add("now");
    beep();
    try {
      const photo = await studio.api.upload("/api/studio/photos", best.blob, more ? `${shots[at]?.pose}.jpg` : t("camera picture"));
      if (more) draft.extras.push(photo);
      else draft.photo = photo;
      next();
    } catch (error) {
      say(error instanceof Error ? error.message : String(error), "error");
    }
    taking = now.disabled = false;
    wellSince = 0;
  }

  function next() {
    at += 1;
    wellSince = 0;
    if (at >= shots.length) go("new");
    else showShot();
  }

  function showShot() {
    const shot = shots[at] ?? FRONT;
    setText(title, t(shot.title));
    setText(text, t(shot.text));
    setText(hint, "");
    for (const [k, place] of [...places.children].entries()) place.className = k < at ? "done" : k === at ? "now" : "";
  }
  showShot();
  void open();
  void watch();
  return {
    root,
    end: () => {
      ended = true;
      stream?.getTracks().forEach((track) => track.stop());
    },
  };
}

/** Heard with shut eyes. */
function beep() {
  try {
    const sound = new AudioContext();
    const tone = sound.createOscillator();
    const volume = sound.createGain();
    volume.gain.setValueAtTime(0.08, sound.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, sound.currentTime + 0.18);
    tone.frequency.value = 880;
    tone.connect(volume).connect(sound.destination);
    tone.start();
    tone.stop(sound.currentTime + 0.2);
    tone.onended = () => void sound.close();
  } catch {
    // Without sound, then.
  }
}

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
