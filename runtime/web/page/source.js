/** Where the motion comes from: the browser's camera with its switch and its permission, or a word on what it is. */

import { capitalised, element, setText } from "./dom.js";
import { t } from "./language.js";
import { createCamera, listCameras, mayUseCamera } from "./camera.js";

/** @type {Record<string, string>} */
const KINDS = {
  camera: "A camera of the computer that perse-live runs on.",
  file: "A video file stands in for a camera.",
  motion: "Another program tracks the face and sends its motion.",
  none: "No camera: the avatar breathes, blinks and looks about by itself.",
  browser: "The camera of this browser.",
};
/** @type {Record<string, {level: number, text: string}>} */
const FACES = {
  tracked: { level: 3, text: "Face found" },
  held: { level: 2, text: "Face lost a moment ago" },
  idle: { level: 1, text: "No face in view; the avatar idles" },
  none: { level: 0, text: "No camera" },
};
const REMEMBERED = "perse-live.camera";

/**
 * @param {{
 *   name: HTMLElement, kind: HTMLElement, problem: HTMLElement, face: HTMLElement, faceText: HTMLElement,
 *   chooser: HTMLElement, choice: HTMLSelectElement, toggle: HTMLButtonElement,
 *   dock: HTMLButtonElement, invite: HTMLElement, inviteButton: HTMLButtonElement, inviteText: HTMLElement,
 *   dialog: HTMLDialogElement, proceed: HTMLButtonElement, cancel: HTMLButtonElement, whose: HTMLElement,
 * }} places
 * @param {import("./api.js").Api} api @param {import("./store.js").Store} store @param {() => boolean} isServerAlive
 * @returns {ReturnType<typeof createCamera>}
 */
export function mountSource(places, api, store, isServerAlive) {
  const { choice, toggle, dock, inviteButton, dialog, proceed, cancel } = places;
  const camera = createCamera(api, (status) => {
    store.set({ camera: status });
    if (status.phase === "starting") void refreshChoice(choice, camera.current()); // with permission, cameras have names
  }, isServerAlive);
  if (!isThisComputer()) setText(places.whose, t("The picture goes to the computer that perse-live runs on ({name}), and no further; nobody sees it.", { name: location.hostname }));

  const isOn = () => isCameraOn(store.get());
  const start = () => void camera.start(choice.value);

  async function turn() {
    if (isOn()) camera.stop();
    else if (await mayUseCamera()) start();
    else dialog.showModal(); // said in words before the browser asks
  }
  for (const button of [toggle, dock, inviteButton]) button.addEventListener("click", () => void turn());
  cancel.addEventListener("click", () => dialog.close());
  proceed.addEventListener("click", () => {
    dialog.close();
    start();
  });
  choice.addEventListener("change", () => {
    remember(choice.value);
    if (isOn()) start();
  });
  navigator.mediaDevices?.addEventListener?.("devicechange", () => void refreshChoice(choice, camera.current()));
  void refreshChoice(choice, remembered());

  store.subscribe((known) => {
    const { state, camera: { phase, message } } = known;
    if (!state) return;
    const { source } = state;
    const ours = source.kind === "browser";
    if (!ours && isOn()) { // another window has chosen where the motion comes from
      camera.stop();
      return; // that has shown everything
    }
    const on = isOn();
    setText(places.name, ours ? t("This browser's camera") : source.kind === "none" ? t("No camera") : source.name);
    setText(places.kind, t(KINDS[source.kind] ?? ""));
    places.kind.hidden = ours;
    setText(places.problem, [ours ? t(message) : "", capitalised(problemOf(known))].filter(Boolean).join(" "));
    places.problem.hidden = !places.problem.textContent;
    places.chooser.hidden = !ours;
    dock.hidden = !ours;
    dock.setAttribute("aria-pressed", String(on));
    setText(toggle, t(on ? "Turn off" : "Turn on"));
    const ready = !ours || phase === "on";
    const face = ready ? (FACES[state.face] ?? FACES.none) : { level: 0, text: on ? "Camera is starting" : "Camera is off" };
    places.face.dataset.level = String(face?.level ?? 0);
    setText(places.faceText, t(face?.text ?? ""));
    places.face.hidden = source.kind === "none";
    showInvite(places, ours ? phase : "on", message);
  });
  return camera;
}

/** @param {import("./store.js").Knowledge} known */
const isCameraOn = ({ camera }) => camera.phase !== "off" && camera.phase !== "failed";

/**
 * What is wrong with the source or the microphone; that a camera sends nothing is not wrong while it is off.
 *
 * @param {import("./store.js").Knowledge} known @returns {string} "" while all is well
 */
export function problemOf(known) {
  const { state } = known;
  if (!state) return "";
  const problem = state.source.kind === "browser" && !isCameraOn(known) ? "" : state.source.problem;
  return problem || (state.voice?.problem ?? "");
}

/**
 * The question on the stage while the browser's camera is off.
 *
 * @param {{invite: HTMLElement, inviteButton: HTMLElement, inviteText: HTMLElement}} places
 * @param {import("./camera.js").CameraStatus["phase"]} phase @param {string} message
 */
function showInvite({ invite, inviteButton, inviteText }, phase, message) {
  invite.hidden = phase === "on" || phase === "starting";
  inviteButton.hidden = phase === "asking";
  setText(inviteButton, t(phase === "failed" ? "Try again" : "Turn on camera"));
  setText(inviteText, t(phase === "asking" ? "Your browser asks for the camera now: choose “Allow”."
    : phase === "failed" ? message : "The avatar moves as you do once your camera is on."));
}

/** @param {HTMLSelectElement} choice @param {string} preferred the id of the camera to choose if it is there */
async function refreshChoice(choice, preferred) {
  const cameras = await listCameras();
  const chosen = preferred || choice.value;
  const options = [element("option", { value: "" }, t("Default camera"))];
  for (const { id, label } of cameras) options.push(element("option", { value: id }, label));
  choice.replaceChildren(...options);
  choice.value = cameras.some(({ id }) => id === chosen) ? chosen : "";
}

function isThisComputer() {
  return ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
}

/** @param {string} deviceId */
function remember(deviceId) {
  try {
    localStorage.setItem(REMEMBERED, deviceId);
  } catch {
    // Then it is chosen again next time.
  }
}

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED) ?? "";
  } catch {
    return "";
  }
}
