/** The page's language: texts are written in English, and looked up in strings.js for another one. */

import { LANGUAGES, STRINGS } from "./strings.js";

const REMEMBERED = "perse-live.language";
/** Attributes that people see or hear. */
const SPOKEN = ["aria-label", "title", "placeholder", "data-tip"];

/** @type {Record<string, string>} */
const words = STRINGS[language()] ?? {};

/** @returns {string} of `LANGUAGES`: the one chosen, else the browser's, else English */
export function language() {
  const wished = [remembered(), ...navigator.languages].map((tag) => tag.slice(0, 2).toLowerCase());
  return wished.find((tag) => tag in LANGUAGES) ?? "en";
}

/**
 * A text in the page's language.
 *
 * @param {string} text in English, with places such as {name} @param {Record<string, string | number>} [values] for these
 */
export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (place, name) => String(values[name] ?? place));
}

/** Put what stands in the page itself into its language. */
export function translatePage() {
  document.documentElement.lang = language();
  if (language() === "en") return;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.nodeValue ?? "";
    const known = words[text.trim().replace(/\s+/g, " ")];
    if (known !== undefined) node.nodeValue = text.replace(text.trim(), () => known);
  }
  for (const name of SPOKEN) {
    for (const place of document.querySelectorAll(`[${name}]`)) {
      place.setAttribute(name, t(place.getAttribute(name) ?? ""));
    }
  }
}

/** @param {string} tag of `LANGUAGES`; the page is reloaded in it */
export function speak(tag) {
  try {
    localStorage.setItem(REMEMBERED, tag);
  } catch {
    // Then it stays as the browser has it.
  }
  location.reload();
}

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED) ?? "";
  } catch {
    return "";
  }
}
