/** The page for OBS's browser source: the avatar alone, on nothing, for as long as it takes. */

import { createApi } from "./api.js";
import { byId } from "./dom.js";
import { createLink } from "./link.js";
import { showPicture } from "./picture.js";
import { createStore } from "./store.js";
import { watch } from "./whep.js";

const api = createApi(location.href);
const store = createStore();
const link = createLink(api, store, () => {}); // nobody reads messages here
const video = byId("video", HTMLVideoElement);
const canvas = byId("matte", HTMLCanvasElement);

showPicture(video, canvas, () => store.get().state?.size ?? null, () => video.classList.add("shown"));

watch(api, {
  onStream: (stream) => {
    if (video.srcObject !== stream) video.srcObject = stream;
    video.muted = false; // OBS plays sound unasked; where a browser does not, the picture comes without
    void video.play().catch(() => {
      video.muted = true;
      void video.play().catch(() => {}); // muted video may always play; `autoplay` tries again
    });
  },
  onChannel: link.attach,
  onPhase: (phase) => {
    if (phase.name !== "live") video.classList.remove("shown"); // a frozen face in a broadcast would be worse than none
    canvas.hidden = canvas.hidden || phase.name !== "live";
  },
});
