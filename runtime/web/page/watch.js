/** The page for viewers: it watches, and can do nothing else. */

import { createApi } from "./api.js";
import { byId, setText } from "./dom.js";
import { t, translatePage } from "./language.js";
import { showPicture } from "./picture.js";
import { watch } from "./whep.js";

translatePage();
window.addEventListener("hashchange", () => location.reload());
const video = byId("video", HTMLVideoElement);
const canvas = byId("matte", HTMLCanvasElement);
const listen = byId("listen", HTMLButtonElement); // browsers play sound only after a click
const words = byId("words", HTMLElement);
/** @type {[number, number] | null} */
let size = null;

listen.addEventListener("click", () => {
  video.muted = false;
  listen.hidden = true;
});
showPicture(video, canvas, () => size, () => video.classList.add("shown"));
watch(createApi(location.href), {
  onStream: (stream) => {
    if (video.srcObject !== stream) video.srcObject = stream;
    listen.hidden = !video.muted || stream.getAudioTracks().length === 0;
    void video.play().catch(() => {});
  },
  onChannel: (channel) => channel.addEventListener("message", ({ data }) => {
    size = JSON.parse(data).state?.size ?? size;
  }),
  onPhase: (phase) => {
    if (phase.name !== "live") video.classList.remove("shown");
    if (phase.name === "refused") setText(words, t(phase.status === 401 ? "This link does not work any more. Ask for a new one." : "The avatar cannot be shown."));
    else setText(words, t("Waiting for the avatar"));
  },
});
