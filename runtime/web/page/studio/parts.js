/** Small parts that several views of the studio use. */

import { element, icon } from "../dom.js";
import { t } from "../language.js";

/**
 * @param {string} text in English @param {() => void} onClick
 * @param {{icon?: string, kind?: string, label?: string}} [options] kind: more classes; label: for screen readers, where the text is too short
 */
export function button(text, onClick, { icon: symbol, kind = "", label } = {}) {
  const made = element("button", { type: "button", class: `button ${kind}` });
  if (symbol) made.append(icon(symbol));
  if (text) made.append(element("span", {}, t(text)));
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", onClick);
  return made;
}

/**
 * A button that works on something: it cannot be pressed again meanwhile, and says what went wrong.
 *
 * @param {HTMLButtonElement} made @param {() => Promise<unknown>} work @param {(text: string, tone: "error") => void} say
 */
export async function during(made, work, say) {
  made.disabled = true;
  made.classList.add("working");
  try {
    await work();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error), "error");
  } finally {
    made.disabled = false;
    made.classList.remove("working");
  }
}

/**
 * A question in a dialog.
 *
 * @param {{title: string, text?: string, fields?: HTMLElement[], yes: string, no?: string}} question texts in the page's language
 * @returns {Promise<boolean>} whether yes was chosen
 */
export function ask({ title, text = "", fields = [], yes, no = t("Cancel") }) {
  const heading = element("h2", { id: "ask-title" }, title);
  const cancel = element("button", { type: "button", class: "button" }, no);
  const submit = element("button", { type: "submit", class: "button primary" }, yes);
  const form = element("form", { method: "dialog" }, heading, ...(text ? [element("p", {}, text)] : []), ...fields,
    element("div", { class: "dialog-buttons" }, cancel, submit));
  const dialog = element("dialog", { "aria-labelledby": "ask-title" }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    let chosen = false;
    form.addEventListener("submit", () => (chosen = true));
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(chosen);
    });
    dialog.showModal();
  });
}

/** @param {string} label @param {HTMLElement} input */
export const field = (label, input) => element("label", { class: "field" }, element("span", {}, label), input);

/** @param {HTMLElement} label @param {boolean} checked */
export function tick(label, checked = false) {
  const input = element("input", { type: "checkbox", checked });
  return { root: element("label", { class: "tick" }, input, element("span", { class: "tick-box", "aria-hidden": "true" }), label), input };
}

/** A file input behind a button. @param {string} accept @param {boolean} multiple @param {(files: File[]) => void} onFiles */
export function filePicker(accept, multiple, onFiles) {
  const input = element("input", { type: "file", accept, multiple, class: "hidden-name", tabindex: "-1", "aria-hidden": "true" });
  input.addEventListener("change", () => {
    if (input.files?.length) onFiles([...input.files]);
    input.value = "";
  });
  return input;
}

/** What a photo's file may be. */
export const PHOTOS = "image/*,.heic,.heif,.avif";

/** @param {number | null} decibels likeness of a face @returns {string} in words */
export function likenessWords(decibels) {
  if (decibels === null) return "";
  return t(decibels >= 33 ? "Very close to the photo" : decibels >= 29 ? "Close to the photo" : decibels >= 26 ? "Fairly like the photo"
    : "Only roughly like the photo");
}

/** @param {number} seconds since 1970, or an ISO date @param {string} tag of the language */
export const asDate = (/** @type {number | string} */ when, /** @type {string} */ tag) =>
  new Intl.DateTimeFormat(tag, { dateStyle: "medium" }).format(typeof when === "number" ? when * 1000 : new Date(when));

/** @param {number} bytes */
export const asSize = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
