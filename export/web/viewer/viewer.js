// The page: drag turns the head, sliders make expressions, otherwise the avatar breathes, blinks and looks around.

import { loadAvatar, turnedPose } from "./avatar.js";
import { Splats } from "./splats.js";

const SLIDERS = { "mouth open": ["jawOpen"], smile: ["mouthSmileLeft", "mouthSmileRight"], pucker: ["mouthPucker"],
  "brows up": ["browInnerUp", "browOuterUpLeft", "browOuterUpRight"], frown: ["browDownLeft", "browDownRight"],
  "eyes shut": ["eyeBlinkLeft", "eyeBlinkRight"], "look left": ["eyeLookOutLeft", "eyeLookInRight"] };
const BACKGROUND = [0.85, 0.86, 0.87];

const canvas = document.querySelector("canvas"), note = document.querySelector("output");
const turn = { yaw: 0, pitch: 0 }, weights = {};

function slider(label, names) {
  const input = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 1, step: 0.01, value: 0 });
  input.addEventListener("input", () => names.forEach(name => { weights[name] = Number(input.value); }));
  const line = document.createElement("label");
  line.append(label, input);
  document.querySelector("fieldset").append(line);
}

function idle(seconds) {
  const blink = Math.max(0, 1 - Math.abs((seconds % 3.7) - 0.15) / 0.12);
  const sway = { yaw: 6 * Math.sin(seconds * 0.7), pitch: 2 * Math.sin(seconds * 0.9), roll: 1.5 * Math.sin(seconds * 0.5) };
  const breath = 0.5 - 0.5 * Math.cos(seconds * 2 * Math.PI / 4.3);
  return { weights: { eyeBlinkLeft: blink, eyeBlinkRight: blink, mouthSmileLeft: 0.1, mouthSmileRight: 0.1 }, sway, breath };
}

try {
  const avatar = await loadAvatar(new URL(".", import.meta.url));
  const splats = new Splats(canvas, avatar), size = `${avatar.count.toLocaleString()} Gaussians`;
  note.value = size;
  Object.entries(SLIDERS).forEach(([label, names]) => slider(label, names));
  canvas.addEventListener("pointermove", event => {
    if (!event.buttons) return;
    turn.yaw = Math.max(-60, Math.min(60, turn.yaw + 0.4 * event.movementX));
    turn.pitch = Math.max(-30, Math.min(30, turn.pitch + 0.3 * event.movementY));
  });
  const show = (doing, pose, breath = 0) => {
    avatar.pose(avatar.expression(doing), avatar.gaze(doing), pose, [0, 0, 0, breath]);
    splats.draw(avatar.manifest.camera, BACKGROUND);
  };
  let held = false;
  window.perse = { avatar, show: (doing, yaw, pitch, roll) => { held = true; show(doing, turnedPose(avatar, yaw, pitch, roll)); } };
  const times = [];
  const frame = now => {
    if (!held) {
      const side = Math.round(Math.min(canvas.clientWidth, 1024) * Math.min(devicePixelRatio, 2));
      if (canvas.width !== side) canvas.width = canvas.height = side;
      const { weights: own, sway, breath } = idle(now / 1000), doing = { ...own };
      for (const [name, value] of Object.entries(weights)) doing[name] = Math.max(value, doing[name] ?? 0);
      const begin = performance.now();
      show(doing, turnedPose(avatar, sway.yaw + turn.yaw, sway.pitch + turn.pitch, sway.roll), breath);
      times.push(performance.now() - begin);
      if (times.length === 30) note.value = `${size}, ${(times.splice(0).sort((a, b) => a - b)[15]).toFixed(1)} ms`;
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  document.body.dataset.ready = "yes";
} catch (error) {
  note.value = `${error}`;
  document.body.dataset.ready = "failed";
}
