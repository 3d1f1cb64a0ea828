/** Radio buttons that look like something else: the browser brings the keyboard and the roles. */

import { element } from "./dom.js";

let groups = 0;

/**
 * @template {string} Value
 * @param {HTMLElement} list @param {{value: Value, label: string, look: Node}[]} options
 * @param {(value: Value) => void} onChoose
 * @returns {(value: Value | null) => void} marks one as chosen
 */
export function fillChoices(list, options, onChoose) {
  groups += 1;
  const name = `choice-${groups}`;
  const inputs = options.map(({ value, label, look }) => {
    const input = element("input", { type: "radio", name, value, "aria-label": label });
    input.addEventListener("change", () => onChoose(value));
    list.append(element("label", { class: "choice", title: label }, input, look));
    return input;
  });
  return (chosen) => {
    for (const input of inputs) input.checked = input.value === chosen;
  };
}
