/** A head that turns under the pointer or the arrow keys: one of many pictures on a sheet. */

import { element } from "../dom.js";
import { t } from "../language.js";
import { pictureAddress } from "./pictures.js";

const COLUMNS = 11;
const ROWS = 3; // as runtime/studio/pictures.py draws them

/**
 * @param {import("../api.js").Api} api @param {import("./data.js").Avatar} avatar
 * @param {{hover?: boolean, label?: string}} [options] hover: it follows a pointer that is not pressed
 */
export function createTurningHead(api, avatar, { hover = false, label } = {}) {
  const sheet = element("div", { class: "head-sheet", "aria-hidden": "true" });
  const root = element("div", { class: "head" }, sheet);
  if (label !== undefined) {
    root.tabIndex = 0;
    root.setAttribute("role", "slider");
    root.setAttribute("aria-label", label);
    root.setAttribute("aria-valuemin", "-40");
    root.setAttribute("aria-valuemax", "40");
  }
  let column = (COLUMNS - 1) / 2;
  let row = (ROWS - 1) / 2;
  let loaded = false;

  function show() {
    sheet.style.backgroundPosition = `${(Math.round(column) / (COLUMNS - 1)) * 100}% ${(Math.round(row) / (ROWS - 1)) * 100}%`;
    const degrees = Math.round((Math.round(column) / (COLUMNS - 1)) * 80 - 40);
    if (label !== undefined) {
      root.setAttribute("aria-valuenow", String(degrees));
      root.setAttribute("aria-valuetext", t("{degrees} degrees", { degrees }));
    }
  }

  /** @param {string} path */
  async function load(path) {
    try {
      sheet.style.backgroundImage = `url("${await pictureAddress(api, path, avatar.face)}")`;
      root.classList.add("there");
      return true;
    } catch {
      return false;
    }
  }

  /** The whole sheet, as soon as somebody wants to turn the head. */
  async function loadTurns() {
    if (loaded) return;
    loaded = true;
    root.classList.add("turns");
    loaded = await load(`/api/studio/avatars/${avatar.id}/pictures/turns`);
    show();
  }

  /** @param {number} x @param {number} y shares of the picture */
  function aim(x, y) {
    column = Math.min(COLUMNS - 1, Math.max(0, x * (COLUMNS - 1)));
    row = Math.min(ROWS - 1, Math.max(0, y * (ROWS - 1)));
    show();
  }

  const rest = () => aim(0.5, 0.5);
  if (hover) {
    root.addEventListener("pointermove", (event) => {
      const { left, top, width, height } = root.getBoundingClientRect();
      void loadTurns();
      aim((event.clientX - left) / width, (event.clientY - top) / height);
    });
    root.addEventListener("pointerleave", rest);
  } else {
    /** @type {{x: number, y: number, column: number, row: number} | null} */
    let drag = null;
    root.addEventListener("pointerdown", (event) => {
      root.setPointerCapture(event.pointerId);
      drag = { x: event.clientX, y: event.clientY, column, row };
      void loadTurns();
    });
    root.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const { width, height } = root.getBoundingClientRect();
      aim((drag.column + ((event.clientX - drag.x) / width) * COLUMNS * 1.4) / (COLUMNS - 1),
        (drag.row + ((event.clientY - drag.y) / height) * ROWS * 1.4) / (ROWS - 1));
    });
    for (const name of ["pointerup", "pointercancel"]) root.addEventListener(name, () => (drag = null));
    root.addEventListener("keydown", ({ key }) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-99, 0], End: [99, 0] }[key];
      if (!step) return;
      void loadTurns();
      aim((Math.round(column) + (step[0] ?? 0)) / (COLUMNS - 1), (Math.round(row) + (step[1] ?? 0)) / (ROWS - 1));
    });
  }
  void (hover ? load(`/api/studio/avatars/${avatar.id}/pictures/card`) : loadTurns());
  show();
  return root;
}
