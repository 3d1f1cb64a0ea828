/** The avatar's picture: the video as it is, or, where it carries a matte, drawn with its transparency. */

import { createMattePainter } from "./matte.js";

const TELLS_PICTURES = "requestVideoFrameCallback" in HTMLVideoElement.prototype;

/**
 * Show a video's pictures as they come.
 *
 * @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas in its place for mattes
 * @param {() => [number, number] | null} size width and height of the avatar's picture, as far as known; a matte is twice as wide
 * @param {(layout: {width: number, height: number, matte: boolean}) => void} onPicture for each picture: what is shown
 */
export function showPicture(video, canvas, size, onPicture) {
  /** @type {ReturnType<typeof createMattePainter> | undefined} */
  let paint; // made when the first matte comes: most sessions have none

  function show() {
    const { videoWidth: width, videoHeight: height } = video;
    if (width && height) {
      const matte = isMatte(width, height, size());
      if (matte && paint === undefined) paint = createMattePainter(canvas);
      const painted = matte && paint != null && paint(video);
      canvas.hidden = !painted;
      video.classList.toggle("behind", painted);
      video.classList.toggle("left-half", matte && !painted);
      onPicture({ width: matte ? width / 2 : width, height, matte });
    }
    next();
  }

  let shownTime = -1;
  function next() {
    if (TELLS_PICTURES) {
      video.requestVideoFrameCallback(show);
      return;
    }
    requestAnimationFrame(() => {
      const isNew = video.currentTime !== shownTime;
      shownTime = video.currentTime;
      if (isNew) show();
      else next();
    });
  }
  next();
}

/**
 * By its shape: the state's word for it may come a few pictures sooner or later than the pictures change.
 *
 * @param {number} width @param {number} height @param {[number, number] | null} size
 */
export function isMatte(width, height, size) {
  const ratio = size ? size[0] / size[1] : 1;
  return width / height > 1.5 * ratio;
}
