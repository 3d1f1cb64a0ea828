/** The faces that were found in a photo, drawn into it with what is poor about each. */

import { element } from "../dom.js";
import { t } from "../language.js";

/** @typedef {import("./data.js").Photo} Photo */

/** What is poor about a face (`PROBLEMS` of runtime/studio/faces.py): a word to stand in the picture, and a sentence. @type {Record<string, [string, string]>} */
const PROBLEMS = {
  small: ["Small", "The face is small: the avatar will be soft. Come closer, or use a larger picture."],
  "cut-off": ["Cut off", "The face reaches the edge of the picture: what is cut off must be guessed."],
  turned: ["Turned", "The head is turned to the side: the far side must be guessed."],
  nodded: ["Up or down", "The head looks up or down: look straight into the lens."],
  light: ["Dark", "The face is dark: more light from the front helps."],
  bright: ["Too bright", "The face is too bright: parts of it are plain white."],
  uneven: ["Half in shade", "One half of the face is in shade: light from the front is better."],
  glare: ["Reflection", "Something shines at the eyes: glasses off, or turn the lamp."],
  "open-eyes": ["Eyes shut", "The eyes are shut: how they look open must be guessed."],
  relax: ["Mouth open", "The mouth is open: a relaxed face with a closed mouth is better."],
};

/** @param {Photo} photo @param {number} number of the face @returns {string[]} sentences on what is poor about it */
export const faceProblems = (photo, number) => (photo.faces[number]?.problems ?? []).flatMap((word) => (PROBLEMS[word] ? [t(PROBLEMS[word][1])] : []));

/**
 * A frame around a face, with the words that say what is poor about it.
 *
 * @param {Photo} photo @param {number} number @param {"button" | "span"} tag
 */
export function faceMark(photo, number, tag) {
  const face = /** @type {import("./data.js").Face} */ (photo.faces[number]);
  const words = face.problems.flatMap((word) => (PROBLEMS[word] ? [t(PROBLEMS[word][0])] : []));
  const mark = element(tag, { class: `face-box${words.length ? " poor" : ""}` });
  if (words.length) mark.append(element("span", { class: "face-words" }, words.join(" · ")));
  mark.style.left = `${face.left * 100}%`;
  mark.style.top = `${face.top * 100}%`;
  mark.style.width = `${face.width * 100}%`;
  mark.style.height = `${face.height * 100}%`;
  return mark;
}

/** Where no face was found. */
export const noFaceMark = () => element("span", { class: "no-face" }, element("span", { class: "face-words" }, t("No face found")));

/** The part of a photo that was used. @param {Photo} photo @param {[number, number, number, number]} crop */
export function cropMark(photo, [left, top, width, height]) {
  const mark = element("span", { class: "crop-mark", "aria-hidden": "true" });
  mark.style.left = `${(left / photo.width) * 100}%`;
  mark.style.top = `${(top / photo.height) * 100}%`;
  mark.style.width = `${(width / photo.width) * 100}%`;
  mark.style.height = `${(height / photo.height) * 100}%`;
  return mark;
}
