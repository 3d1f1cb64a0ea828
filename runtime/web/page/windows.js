/** Full screen and picture in picture, where the browser has them. */

import { t } from "./language.js";

/**
 * @param {{frame: HTMLElement, video: HTMLVideoElement, pip: HTMLButtonElement, fullscreen: HTMLButtonElement}} places
 * @param {import("./store.js").Store} store @param {(text: string, tone: "error") => void} say
 * @returns {() => void} goes to full screen, or back
 */
export function mountWindows({ frame, video, pip, fullscreen }, store, say) {
  const failed = (/** @type {string} */ what) => () => say(t(what), "error");

  const flip = () => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else frame.requestFullscreen?.().catch(failed("The browser does not allow full screen now."));
  };
  fullscreen.hidden = !document.fullscreenEnabled;
  fullscreen.addEventListener("click", flip);
  document.addEventListener("fullscreenchange", () => {
    fullscreen.setAttribute("aria-pressed", String(document.fullscreenElement === frame));
  });

  pip.addEventListener("click", () => {
    if (document.pictureInPictureElement) void document.exitPictureInPicture();
    else video.requestPictureInPicture().catch(failed("The browser does not allow picture in picture now."));
  });
  store.subscribe(({ playing, matte }) => {
    pip.hidden = !document.pictureInPictureEnabled || !playing || matte; // a window cannot be transparent
  });
  return flip;
}
