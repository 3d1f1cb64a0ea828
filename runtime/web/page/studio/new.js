/** A new avatar: a picture, the part of it that is used, a name, and whether the person agrees. */

import { element, icon, setText } from "../dom.js";
import { t } from "../language.js";
import { createCrop } from "./crop.js";
import { faceProblems } from "./faces.js";
import { PHOTOS, button, during, field, filePicker, tick } from "./parts.js";
import { showPicture } from "./pictures.js";

/**
 * @typedef {import("./app.js").Shell} Shell
 * @typedef {import("./data.js").Photo} Photo
 * @typedef {{photo: Photo | null, extras: Photo[], name: string, failed: string}} Draft
 */

const MOST_EXTRAS = 6;

/** @param {Shell} shell @returns {{root: HTMLElement, end: () => void}} */
export function newView(shell) {
  const { draft } = shell;
  const root = element("div", { class: "view new" });
  void shell.studio.api.call("POST", "/api/studio/prepare").catch(() => {}); // the builder is loaded while somebody chooses
  const show = () => root.replaceChildren(...(draft.photo ? details(shell, draft.photo, show) : sources(shell, show)));
  shell.onPhotos = (files) => void choose(shell, files, show);
  show();
  return { root, end: () => (shell.onPhotos = null) };
}

/** @param {Shell} shell @param {() => void} show */
function sources(shell, show) {
  const { go, draft } = shell;
  const picker = filePicker(PHOTOS, false, (files) => void choose(shell, files, show));
  const camera = element("button", { type: "button", class: "source-choice" }, element("span", { class: "step-icon" }, icon("camera")),
    element("strong", {}, t("Use your camera")), element("span", { class: "hint" }, t("You are guided; the sharpest picture is taken by itself.")));
  camera.addEventListener("click", () => go("camera"));
  const photo = element("button", { type: "button", class: "source-choice" }, element("span", { class: "step-icon" }, icon("photo")),
    element("strong", {}, t("Choose a photo")), element("span", { class: "hint" }, t("Or drop one anywhere on this page.")));
  photo.addEventListener("click", () => picker.click());
  const failed = element("div", { class: "problem large", role: "alert" }, icon("warn"), element("p", {}, draft.failed));
  return [
    head(shell, t("New avatar"), t("From one picture of a person’s face.")),
    ...(draft.failed ? [failed] : []),
    element("div", { class: "source-choices" }, camera, photo, picker),
    element("ul", { class: "advice" }, ...["Look straight into the lens, mouth closed, eyes open.", "Soft light from the front; no lamp behind you.",
      "Hair and shoulders in the picture, nothing in front of the face."].map((text) => element("li", {}, icon("tick"), t(text)))),
    element("p", { class: "promise" }, icon("lock"), t("Nothing leaves this computer, and pictures are deleted afterwards unless you keep them.")),
  ];
}

/** @param {Shell} shell @param {string} title @param {string} text */
function head(shell, title, text) {
  return element("div", { class: "view-head" }, element("div", {}, element("h2", {}, title), element("p", { class: "hint" }, text)));
}

/** @param {Shell} shell @param {File[]} files @param {() => void} show */
async function choose(shell, files, show) {
  const file = files[0];
  if (!file) return;
  const { draft, studio } = shell;
  draft.failed = "";
  document.querySelector(".view.new")?.classList.add("busy");
  try {
    draft.photo = await studio.api.upload("/api/studio/photos", file, file.name);
    draft.name ||= nameFrom(file.name);
  } catch (error) {
    draft.failed = error instanceof Error ? error.message : String(error);
  }
  document.querySelector(".view.new")?.classList.remove("busy");
  show();
}

/** A name that a person might choose, from a file's; none from a camera's. @param {string} file */
function nameFrom(file) {
  const words = file.replace(/\.[^.]*$/, "").replace(/[_-]+/g, " ").trim();
  return /^(?:img|dsc|pxl|photo|image|picture|screenshot|webcam|portrait|whatsapp)?[\s\d.]*$/i.test(words) ? "" : words.slice(0, 40);
}

/** @param {Shell} shell @param {Photo} photo @param {() => void} show */
function details(shell, photo, show) {
  const { studio, draft, say, go } = shell;
  const told = element("div", { class: photo.faces.length ? "problem" : "problem bad", role: "status" });
  const crop = createCrop(studio.api, photo, () => setTimeout(tell, 0));
  const name = element("input", { type: "text", maxlength: "60", value: draft.name, autocomplete: "off", placeholder: t("Me") });
  name.addEventListener("input", () => (draft.name = name.value));
  const consent = tick(element("span", {}, t("The person in this picture agrees that an avatar is made of them which moves and speaks as they do: it is me, I asked them, or it shows nobody alive.")));
  const keep = tick(element("span", {}, t("Keep the picture with the avatar")));
  const looks = tick(element("span", {}, t("Learn a few looks right away: hair, beard, glasses, hats")), true);
  const build = button("Build the avatar", () => void during(build, start, say), { icon: "spark", kind: "primary large" });
  const missing = element("p", { class: "hint", id: "consent-hint" }, t("Tick first that the person agrees."));
  build.setAttribute("aria-describedby", "consent-hint");
  const sync = () => {
    const noFace = crop.chosen() < 0;
    build.disabled = !consent.input.checked || noFace;
    setText(missing, t(noFace ? "There is no face in the frame." : "Tick first that the person agrees."));
    missing.hidden = !build.disabled;
  };
  consent.input.addEventListener("change", sync);

  async function start() {
    const { job } = await studio.api.call("POST", "/api/studio/builds", {
      photo: photo.id, crop: crop.crop(), name: name.value.trim() || t("Me"), extras: draft.extras.map(({ id }) => id),
      looks: looks.input.checked ? studio.get()?.default_looks ?? [] : [], keep_photo: keep.input.checked, consent: true,
    });
    await studio.refresh();
    go(`job-${job}`);
  }

  const another = button("Another picture", () => {
    void studio.api.call("DELETE", `/api/studio/photos/${photo.id}`).catch(() => {});
    draft.photo = null;
    show();
  }, { kind: "quiet" });
  const search = button("Search in the frame", () => void during(search, async () => {
    const found = await studio.api.call("POST", `/api/studio/photos/${photo.id}/faces`, { crop: crop.crop() });
    if (!found.faces.length) throw new Error(t("No face was found in the frame either."));
    draft.photo = found;
    show();
  }, say), { kind: "small" });

  /** What is wrong with the picture, and with the face in the frame. */
  function tell() {
    const { faces } = photo;
    const chosen = crop.chosen();
    const complaints = [
      ...(faces.length === 0 ? [t("No face was found in this picture. Use one with a face that looks towards the camera, well lit."), t("Is there one, small or hidden among others? Put the frame around it, and search there.")] : []),
      ...(faces.length > 1 ? [t("{count} faces were found. Click the one that the avatar is made of.", { count: faces.length })] : []),
      ...(faces.length && chosen < 0 ? [t("There is no face in the frame.")] : faceProblems(photo, chosen)),
      ...photo.warnings,
    ];
    told.replaceChildren(element("ul", {}, ...complaints.map((text) => element("li", {}, text))), ...(faces.length ? [] : [search]));
    told.hidden = complaints.length === 0;
    sync();
  }
  tell();
  return [
    element("div", { class: "view-head" }, element("div", {}, element("h2", {}, t("Your picture")), element("p", { class: "hint" }, t("The bright part is used. Move it so that hair and shoulders are inside."))), element("div", { class: "view-tools" }, another)),
    element("div", { class: "split" },
      element("div", { class: "split-picture" }, crop.root, told),
      element("div", { class: "split-form" }, field(t("Name of the avatar"), name), extrasPart(shell, show),
        element("div", { class: "ticks" }, consent.root, looks.root, keep.root),
        element("div", { class: "form-end" }, build, missing))),
  ];
}

/** @param {Shell} shell @param {() => void} show */
function extrasPart({ studio, draft, say, go }, show) {
  const picker = filePicker(PHOTOS, true, (files) => void add(files));
  const list = element("ul", { class: "extras" }, ...draft.extras.map((extra) => {
    const image = element("img", { alt: extra.name });
    void showPicture(studio.api, image, `/api/studio/photos/${extra.id}/picture`);
    const drop = element("button", { type: "button", class: "tool small", "aria-label": t("Leave out {name}", { name: extra.name }) }, icon("close"));
    drop.addEventListener("click", () => {
      draft.extras = draft.extras.filter((one) => one !== extra);
      void studio.api.call("DELETE", `/api/studio/photos/${extra.id}`).catch(() => {});
      show();
    });
    return element("li", {}, image, drop);
  }));
  const plus = button("Add a file", () => picker.click(), { icon: "plus" });
  const camera = button("With the camera", () => go("camera-more"), { icon: "camera" });
  plus.hidden = camera.hidden = draft.extras.length >= MOST_EXTRAS;

  /** @param {File[]} files */
  async function add(files) {
    for (const file of files.slice(0, MOST_EXTRAS - draft.extras.length)) {
      try {
        draft.extras.push(await studio.api.upload("/api/studio/photos", file, file.name));
      } catch (error) {
        say(error instanceof Error ? error.message : String(error), "error");
      }
    }
    show();
  }
  return element("section", { class: "extras-part" }, element("h3", {}, t("More pictures of the same person")),
    element("p", { class: "hint" }, t("Not needed. Turned to the left and right, with shut eyes, with teeth: the avatar gets what one picture does not show.")),
    list, element("div", { class: "row" }, plus, camera, picker));
}
