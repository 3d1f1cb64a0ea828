/** A photo with the part of it that is used: the frame can be moved and resized, faces can be chosen. */

import { element } from "../dom.js";
import { t } from "../language.js";
import { faceMark, noFaceMark } from "./faces.js";
import { showPicture } from "./pictures.js";

const LEAST = 256; // pixels; what the builder takes at least

/**
 * @param {import("../api.js").Api} api @param {import("./data.js").Photo} photo @param {() => void} onChange called when the frame has moved
 * @returns {{root: HTMLElement, crop: () => [number, number, number, number], chosen: () => number}}
 * crop: left, top, width, height in pixels of the photo; chosen: number of the face in the frame, -1 for none
 */
export function createCrop(api, photo, onChange) {
  const image = element("img", { alt: t("Your photo"), draggable: "false" });
  void showPicture(api, image, `/api/studio/photos/${photo.id}/picture`);
  const frame = element("div", { class: "crop-frame", tabindex: "0", role: "group",
    "aria-label": t("The part that is used. Arrow keys move it, plus and minus change its size."), "aria-roledescription": t("frame") },
    ...["nw", "ne", "sw", "se"].map((corner) => element("span", { class: `crop-corner ${corner}`, "data-corner": corner })));
  const shade = element("div", { class: "crop-shade", "aria-hidden": "true" });
  const root = element("div", { class: "crop" }, image, shade, frame);
  root.style.setProperty("--photo-ratio", `${photo.width / photo.height}`);

  const first = photo.faces[0];
  /** @type {[number, number, number, number]} */
  let box = first ? [...first.crop] : middle(photo);

  function show() {
    const [left, top, width, height] = box;
    frame.style.left = shade.style.left = `${(left / photo.width) * 100}%`;
    frame.style.top = shade.style.top = `${(top / photo.height) * 100}%`;
    frame.style.width = shade.style.width = `${(width / photo.width) * 100}%`;
    frame.style.height = shade.style.height = `${(height / photo.height) * 100}%`;
    for (const [k, face] of faces.entries()) face.setAttribute("aria-pressed", String(holds(photo, box, k)));
    onChange();
  }

  const faces = photo.faces.length < 2 ? [] : photo.faces.map((face, number) => {
    const made = faceMark(photo, number, "button");
    made.setAttribute("type", "button");
    made.setAttribute("aria-label", t("Take face {number}", { number: number + 1 }));
    made.addEventListener("click", () => {
      box = [...face.crop];
      show();
    });
    return made;
  });
  if (photo.faces.length === 0) root.append(noFaceMark());
  else if (photo.faces.length === 1 && photo.faces[0]?.problems.length) root.append(faceMark(photo, 0, "span"));
  root.append(...faces);

  /** @param {number} left @param {number} top @param {number} width @param {number} height */
  function set(left, top, width, height) {
    const least = Math.min(LEAST, photo.width, photo.height);
    const wide = Math.min(Math.max(width, least), photo.width);
    const high = Math.min(Math.max(height, least), photo.height);
    const x = Math.min(Math.max(left, 0), photo.width - wide);
    const y = Math.min(Math.max(top, 0), photo.height - high);
    box = [Math.round(x), Math.round(y), Math.floor(Math.min(wide, photo.width - Math.round(x))), Math.floor(Math.min(high, photo.height - Math.round(y)))];
    show();
  }

  /** @type {{x: number, y: number, box: [number, number, number, number], corner: string} | null} */
  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    const corner = event.target instanceof HTMLElement ? event.target.dataset.corner ?? "" : "";
    drag = { x: event.clientX, y: event.clientY, box: [...box], corner };
    event.preventDefault();
    frame.focus();
  });
  frame.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const scale = photo.width / root.clientWidth;
    const [dx, dy] = [(event.clientX - drag.x) * scale, (event.clientY - drag.y) * scale];
    const [left, top, width, height] = drag.box;
    if (!drag.corner) {
      set(left + dx, top + dy, width, height);
      return;
    }
    const west = drag.corner.includes("w");
    const north = drag.corner.includes("n");
    const grown = Math.max(Math.max(west ? -dx : dx, north ? -dy : dy), LEAST - Math.min(width, height));
    const room = Math.min(west ? left : photo.width - left - width, north ? top : photo.height - top - height);
    const by = Math.min(grown, room);
    set(west ? left - by : left, north ? top - by : top, width + by, height + by);
  });
  for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, () => (drag = null));
  frame.addEventListener("keydown", (event) => {
    const [left, top, width, height] = box;
    const step = photo.width / 50;
    const change = { ArrowLeft: [-step, 0, 0], ArrowRight: [step, 0, 0], ArrowUp: [0, -step, 0], ArrowDown: [0, step, 0],
      "+": [-step / 2, -step / 2, step], "=": [-step / 2, -step / 2, step], "-": [step / 2, step / 2, -step] }[event.key];
    if (!change) return;
    event.preventDefault();
    set(left + (change[0] ?? 0), top + (change[1] ?? 0), width + (change[2] ?? 0), height + (change[2] ?? 0));
  });
  show();
  return { root, crop: () => box, chosen: () => photo.faces.findIndex((_, k) => holds(photo, box, k)) };
}

/** A square in the middle, to be moved. @param {import("./data.js").Photo} photo @returns {[number, number, number, number]} */
function middle({ width, height }) {
  const side = Math.min(width, height, Math.max(LEAST, Math.round(Math.min(width, height) * 0.7)));
  return [Math.round((width - side) / 2), Math.round((height - side) / 2), side, side];
}

/** Whether a crop is around a face. @param {import("./data.js").Photo} photo @param {number[]} box @param {number} number */
function holds(photo, box, number) {
  const inside = photo.faces.map((face) => {
    const [x, y] = [(face.left + face.width / 2) * photo.width, (face.top + face.height / 2) * photo.height];
    const [left = 0, top = 0, width = 0, height = 0] = box;
    return x > left && x < left + width && y > top && y < top + height;
  });
  return inside[number] === true && inside.indexOf(true) === number; // of several the largest is taken, and they are sorted
}
