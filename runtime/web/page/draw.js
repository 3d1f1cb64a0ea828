/** A shared avatar, drawn here by the viewer of exported web bundles, at any turn of the head. */

import { Playout } from "./playout.js";
import { listenToShared } from "./shared.js";

const LARGEST = 1024; // pixels of the canvas's longer side
const MOST_YAW = 60; // degrees that a viewer may turn the head further
const MOST_PITCH = 30;
const YAW_PER_PIXEL = 0.4; // degrees
const PITCH_PER_PIXEL = 0.3;
const KEY_STEP = 5; // degrees
const FADE = 350; // milliseconds from one look to the next
const BUSIEST = 0.7; // of the time that drawing may take
const SHOULDERS = 0.35; // of the turn that shoulders follow, as the session's own do (runtime/presence.py)

/** Whether this browser can draw a shared avatar. */
export function canDraw() {
  return document.createElement("canvas").getContext("webgl2") !== null;
}

/**
 * Draw it as long as the page is open.
 *
 * @param {import("./api.js").Api} api @param {{canvas: HTMLCanvasElement, before: HTMLCanvasElement, badge: HTMLElement}} places
 *   before: shows the look before while it fades into the next
 * @param {{onStream: (stream: MediaStream) => void, onPhase: (phase: import("./retry.js").Phase) => void, onShown: () => void}} events
 * @param {{socketOnly?: boolean}} [options]
 */
export async function drawShared(api, { canvas, before, badge }, { onStream, onPhase, onShown }, options) {
  const { Avatar, turnedFurther } = await module("/shared/avatar.js");
  const { Splats } = await module("/shared/splats.js");
  const playout = new Playout();
  const turn = turnedBy(canvas);
  /** @type {import("./shared.js").Scene | null} */
  let scene = null;
  /** @type {{id: string, avatar: any} | null} */
  let cast = null;
  /** @type {any} */
  let splats = null;
  let loading = "";

  /** @param {string} id */
  async function load(id) {
    if (loading === id || cast?.id === id) return;
    loading = id;
    try {
      const [manifest, content] = await Promise.all([api.call("GET", `/shared/${id}.json`), api.bytes(`/shared/${id}.bin`)]);
      if (scene?.bundle !== id) return; // another look is shown by now
      const avatar = new Avatar(manifest, content);
      if (splats === null) splats = new Splats(canvas, avatar);
      else {
        fadeFrom(canvas, before);
        splats.show(avatar);
      }
      cast = { id, avatar };
    } catch (error) {
      console.warn("the avatar's bundle did not come", error); // the next scene or connection tries again
    } finally {
      if (loading === id) loading = "";
      if (scene !== null && scene.bundle !== cast?.id && scene.bundle !== id) void load(scene.bundle);
    }
  }

  const listening = listenToShared(api, {
    onScene: (next) => {
      scene = next;
      badge.className = next.badge;
      document.body.style.background = `#${next.background}`;
      void load(next.bundle);
    },
    onState: (state) => playout.add(state, performance.now()),
    onStream,
    onPhase: (phase) => {
      if (phase.name === "connecting") playout.clear();
      onPhase(phase);
    },
  }, options);

  const figures = { drawn: 0, milliseconds: 0, lag: 0 };
  let next = 0;
  function draw() {
    requestAnimationFrame(draw);
    const now = performance.now();
    if (now < next) return;
    const moment = playout.at(now);
    if (scene === null || cast === null || moment === null) return;
    const { avatar } = cast;
    const { expression, gaze, head, body, place, secondary } = moment.shown;
    fit(canvas, scene.camera);
    avatar.pose(expression, gaze, turnedFurther(avatar, { head, body, place }, turn, SHOULDERS), secondary);
    splats.draw(scene.camera, colorOf(scene.background));
    figures.drawn += 1;
    figures.milliseconds = performance.now() - now;
    next = now + figures.milliseconds / BUSIEST; // messages must come through in between
    figures.lag = performance.timeOrigin + now - scene.epoch - 1000 * moment.time; // where both clocks are one
    if (figures.drawn === 1) onShown();
  }
  requestAnimationFrame(draw);
  return { turn, figures: () => ({ ...figures, ...listening.figures, delay: playout.delay, bundle: cast?.id ?? "", scene }) };
}

/** @param {string} path a module that the server adds where the avatar is shared @returns {Promise<any>} */
async function module(path) {
  return import(path);
}

/** As large as the window, in the picture's shape. @param {HTMLCanvasElement} canvas @param {{width: number, height: number}} camera */
function fit(canvas, { width, height }) {
  const scale = Math.min(innerWidth / width, innerHeight / height);
  const sharp = Math.min(devicePixelRatio, LARGEST / (scale * Math.max(width, height)));
  const wanted = [Math.round(scale * sharp * width), Math.round(scale * sharp * height)];
  if (canvas.width === wanted[0] && canvas.height === wanted[1]) return;
  [canvas.width, canvas.height] = /** @type {[number, number]} */ (wanted);
}

/** Lay a copy of the last picture over the next ones, and let it fade. @param {HTMLCanvasElement} canvas @param {HTMLCanvasElement} over */
function fadeFrom(canvas, over) {
  over.width = canvas.width;
  over.height = canvas.height;
  over.getContext("2d")?.drawImage(canvas, 0, 0);
  over.hidden = false;
  over.getAnimations().forEach((one) => one.cancel());
  over.animate([{ opacity: 1 }, { opacity: 0 }], FADE).finished.then(() => { over.hidden = true; }, () => {});
}

/** How far the viewer has turned the head, by dragging or with the arrow keys; a double click turns it back. @param {HTMLCanvasElement} canvas */
function turnedBy(canvas) {
  const turn = { yaw: 0, pitch: 0, roll: 0 };
  /** @param {number} yaw @param {number} pitch */
  const add = (yaw, pitch) => {
    turn.yaw = Math.max(-MOST_YAW, Math.min(MOST_YAW, turn.yaw + yaw));
    turn.pitch = Math.max(-MOST_PITCH, Math.min(MOST_PITCH, turn.pitch + pitch));
  };
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) add(YAW_PER_PIXEL * event.movementX, PITCH_PER_PIXEL * event.movementY);
  });
  canvas.addEventListener("dblclick", () => Object.assign(turn, { yaw: 0, pitch: 0 }));
  canvas.addEventListener("keydown", ({ key }) => {
    if (key === "Home") Object.assign(turn, { yaw: 0, pitch: 0 });
    add(key === "ArrowLeft" ? -KEY_STEP : key === "ArrowRight" ? KEY_STEP : 0, key === "ArrowUp" ? -KEY_STEP : key === "ArrowDown" ? KEY_STEP : 0);
  });
  return turn;
}

/** @param {string} hex RRGGBB @returns {number[]} sRGB in [0, 1] */
function colorOf(hex) {
  return [0, 2, 4].map((start) => parseInt(hex.slice(start, start + 2), 16) / 255);
}
