/** The page for viewers: it watches, and can do nothing else. Where the avatar is shared, the page draws it by itself. */

import { createApi } from "./api.js";
import { byId, setText } from "./dom.js";
import { canDraw, drawShared } from "./draw.js";
import { t, translatePage } from "./language.js";
import { showPicture } from "./picture.js";
import { watch } from "./whep.js";

translatePage();
window.addEventListener("hashchange", () => location.reload());
const video = byId("video", HTMLVideoElement);
const matte = byId("matte", HTMLCanvasElement);
const drawn = byId("drawn", HTMLCanvasElement);
const badge = byId("badge", HTMLElement);
const sound = byId("sound", HTMLAudioElement);
const listen = byId("listen", HTMLButtonElement); // browsers play sound only after a click
const words = byId("words", HTMLElement);
const api = createApi(location.href);
/** @type {[number, number] | null} */
let size = null;

/** @param {import("./retry.js").Phase} phase */
function tell(phase) {
  if (phase.name !== "live") show(false);
  if (phase.name === "refused") setText(words, t(phase.status === 401 ? "This link does not work any more. Ask for a new one." : "The avatar cannot be shown."));
  else setText(words, t("Waiting for the avatar"));
}

/** @param {boolean} on */
function show(on) {
  for (const one of [document.body, video]) one.classList.toggle("shown", on);
}

/** @param {HTMLMediaElement} player @param {MediaStream} stream */
function play(player, stream) {
  if (player.srcObject !== stream) player.srcObject = stream;
  listen.hidden = !player.muted || stream.getAudioTracks().length === 0;
  listen.onclick = () => {
    player.muted = false;
    listen.hidden = true;
  };
  void player.play().catch(() => {});
}

function watchVideo() {
  showPicture(video, matte, () => size, () => show(true));
  watch(api, {
    onStream: (stream) => play(video, stream),
    onChannel: (channel) => channel.addEventListener("message", ({ data }) => {
      size = JSON.parse(data).state?.size ?? size;
    }),
    onPhase: tell,
  });
}

async function drawHere() {
  drawn.hidden = badge.hidden = false;
  video.hidden = true;
  let ever = false;
  const drawing = await drawShared(api, { canvas: drawn, before: byId("before", HTMLCanvasElement), badge }, {
    onStream: (stream) => play(sound, stream),
    onPhase: (phase) => {
      tell(phase);
      if (phase.name === "live" && ever) show(true);
    },
    onShown: () => {
      ever = true;
      show(true);
    },
  }, { socketOnly: new URLSearchParams(location.search).has("socket") });
  Object.assign(window, { perse: drawing });
}

/** Whether the avatar is shared; asked again while the server does not answer. @returns {Promise<boolean>} */
async function isShared() {
  for (;;) {
    try {
      return (await api.call("GET", "/api/watch")).shared === true;
    } catch (error) {
      if (error instanceof Error && "status" in error && error.status !== 0) return false; // watching says what is wrong
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

if ((await isShared()) && canDraw()) await drawHere();
else watchVideo();
