/** A labelled slider that tells its value often while it is dragged and is not pulled from under the user's finger. */

import { element, setText } from "./dom.js";
import { throttled } from "./throttle.js";

const SEND_MS = 66; // about 15 a second
const SETTLE_MS = 700; // until the server's word for the value is the newer one again

/**
 * @typedef {{
 *   root: HTMLElement,
 *   set: (value: number) => void,
 *   isBusy: () => boolean,
 * }} Slider `set` is ignored while `isBusy`: while it is dragged and a moment after
 *
 * @param {{name: string, most: number, detent?: number, onValue: (value: number) => void, onIdle?: () => void}} options
 *   from 0 to `most` in hundredths; `detent`: a value it likes to rest on; `onIdle`: called when it is not busy any more
 * @returns {Slider}
 */
export function createSlider({ name, most, detent, onValue, onIdle }) {
  const input = element("input", { type: "range", min: "0", max: String(most), step: "0.01", "aria-label": name });
  const output = element("span", { class: "slider-value" });
  const root = element("div", { class: "slider" },
    element("span", { class: "slider-name", "aria-hidden": "true" }, name), output, input);
  output.setAttribute("aria-hidden", "true");
  if (detent !== undefined) root.classList.add("with-detent");
  const send = throttled(onValue, SEND_MS);
  let held = false;
  let settling = 0;

  function show() {
    const text = `${Math.round(Number(input.value) * 100)} %`;
    setText(output, text);
    input.setAttribute("aria-valuetext", text);
    root.style.setProperty("--fill", `${(Number(input.value) / most) * 100}%`);
  }

  function settle() {
    clearTimeout(settling);
    settling = setTimeout(() => {
      settling = 0;
      if (!held) onIdle?.();
    }, SETTLE_MS);
  }

  input.addEventListener("input", () => {
    if (detent !== undefined && held && Math.abs(Number(input.value) - detent) < 0.04 * most) input.value = String(detent);
    show();
    send(Number(input.value));
    settle();
  });
  input.addEventListener("pointerdown", () => {
    held = true;
  });
  for (const end of ["pointerup", "pointercancel", "change"]) {
    input.addEventListener(end, () => {
      held = false;
      settle();
    });
  }

  const isBusy = () => held || settling !== 0;
  return {
    root,
    isBusy,
    set: (value) => {
      if (isBusy()) return;
      input.value = String(value);
      show();
    },
  };
}
