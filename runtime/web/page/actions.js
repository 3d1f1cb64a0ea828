/** Actions as texts, as keys are bound to them: "attribute 3", "hide". */

import { t } from "./language.js";

/**
 * @typedef {import("./api.js").Action} Action
 * @typedef {import("./api.js").State} State
 */

/** What the parameter of a text is called in JSON. @type {Record<string, string>} */
const FIELDS = { attribute: "name", avatar: "number", background: "background", recalibrate: "seconds" };
const NUMBERS = new Set(["number", "seconds"]);

/** @param {string} text @returns {Action | null} null for what cannot be an action */
export function parseAction(text) {
  const [action, parameter, ...rest] = text.trim().split(/\s+/);
  if (!action || rest.length) return null;
  if (parameter === undefined) return { action };
  const field = FIELDS[action];
  if (!field) return null;
  return { action, [field]: NUMBERS.has(field) ? Number(parameter) : parameter };
}

/** @type {Record<string, string>} */
const WORDS = {
  "next-attribute": "Next attribute",
  "previous-attribute": "Previous attribute",
  "no-attributes": "All attributes off",
  recalibrate: "Calibrate",
  mirror: "Mirror the preview",
  hide: "Hide or show yourself",
  mute: "Mute or unmute your voice",
  record: "Start or stop recording",
};

/**
 * An action for people.
 *
 * @param {string} text @param {State} state @returns {string | null} null for an attribute or avatar that is not there
 */
export function describeAction(text, state) {
  const [action = "", parameter = ""] = text.trim().split(/\s+/);
  if (action === "attribute") {
    const { attributes } = state;
    const label = (attributes.find(({ name }) => name === parameter) ?? attributes[Number(parameter) - 1])?.label;
    return label === undefined ? null : t(label);
  }
  if (action === "avatar") return state.avatars[Number(parameter) - 1] ?? null;
  if (action === "background") return t("Background {name}", { name: parameter });
  return t(WORDS[action] ?? text);
}
