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
const words = byId("words", HTMLElement);
/** @type {[number, number] | null} */
let size = null;

showPicture(video, canvas, () => size, () => video.classList.add("shown"));
watch(createApi(location.href), {
  onStream: (stream) => {
    video.srcObject = stream;
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
