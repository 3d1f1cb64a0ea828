/** A build under way, what went wrong with it, or what has come of it. */

import { asTime, element, icon, setText } from "../dom.js";
import { t } from "../language.js";
import { cropMark, faceMark, faceProblems, noFaceMark } from "./faces.js";
import { remove } from "./gallery.js";
import { button, during, likenessWords } from "./parts.js";
import { pictureAddress, showPicture } from "./pictures.js";
import { createTurningHead } from "./turn.js";

/**
 * @typedef {import("./app.js").Shell} Shell
 * @typedef {import("./data.js").Job} Job
 * @typedef {import("./data.js").Photo} Photo
 */

/** The builder's stages that are worth a line. @type {[RegExp, string][]} */
const STEPS = [
  [/^(?:fetch|download|looking|reading the photo|finding the face)/, "Finding the face"],
  [/^fitting the head/, "Measuring the head"],
  [/^(?:separating|fitting the outline)/, "Separating hair, skin and clothes"],
  [/^(?:observing|completing)/, "Completing what the picture does not show"],
  [/^lifting/, "Bringing it into three dimensions"],
  [/^refining/, "Refining"],
  [/^(?:binding|comparing)/, "Making it move"],
];
const EXPRESSIONS = ["Neutral", "Smile", "Laugh", "Jaw open", "Pucker", "Blink", "Brows up", "Frown", "Wink", "Teeth"];

/** @param {Shell} shell @param {string} id @returns {{root: HTMLElement, end: () => void}} */
export function jobView(shell, id) {
  const root = element("div", { class: "view job" });
  /** @type {{kind: string, show: (job: Job) => void} | null} */
  let part = null;
  const end = shell.studio.subscribe(() => {
    const job = shell.studio.job(id);
    const kind = !job ? "gone" : job.state === "done" ? "done" : job.state === "failed" || job.state === "cancelled" ? "failed" : "running";
    if (kind === "gone") {
      shell.go("gallery");
      return;
    }
    if (part?.kind !== kind) {
      const made = kind === "running" ? progress(shell, id) : kind === "failed" ? failure(shell, /** @type {Job} */ (job)) : result(shell, /** @type {Job} */ (job));
      root.replaceChildren(...made.nodes);
      part = { kind, show: made.show };
      /** @type {HTMLElement | null} */ (root.querySelector("h2"))?.focus();
    }
    part.show(/** @type {Job} */ (job));
  });
  return { root, end };
}

/** @param {Shell} shell @param {string} id */
function progress({ studio, say, go }, id) {
  const title = element("h2", { tabindex: "-1" });
  const words = element("p", { class: "hint", role: "status" });
  const picture = element("img", { class: "build-picture", alt: t("What the builder sees now") });
  const before = element("img", { class: "build-picture below", alt: "", "aria-hidden": "true" });
  const bar = element("progress", { max: "1", value: "0", "aria-label": t("Progress") });
  const left = element("p", { class: "build-left" });
  const steps = element("ol", { class: "build-steps" }, ...STEPS.map(([, name]) => element("li", {}, element("span", { class: "dot" }), t(name))));
  const cancel = button("Cancel", () => void during(cancel, async () => {
    await studio.api.call("DELETE", `/api/studio/jobs/${id}`);
    go("new");
  }, say), { kind: "quiet" });
  let shown = "";
  let now = -1;
  return {
    nodes: [
      element("div", { class: "view-head" }, element("div", {}, title, words), element("div", { class: "view-tools" }, cancel)),
      element("div", { class: "split" }, element("div", { class: "build-frame" }, before, picture, element("div", { class: "build-scan", "aria-hidden": "true" })),
        element("div", { class: "split-form" }, bar, left, steps,
          element("p", { class: "hint" }, t("You may look around meanwhile, or even close this page: the avatar will be in the gallery.")))),
    ],
    /** @param {Job} job */
    show: (job) => {
      setText(title, t("Building {name}", { name: job.title }));
      const queued = job.state === "queued";
      setText(words, queued ? t("Waits for the job before it.") : "");
      bar.value = job.share;
      setText(left, queued ? "" : job.left === null ? t("Starting") : job.left < 1.5 ? t("Almost there") : t("About {time} left", { time: asTime(Math.ceil(job.left)) }));
      now = Math.max(now, STEPS.findIndex(([pattern]) => pattern.test(job.step)));
      for (const [k, line] of [...steps.children].entries()) line.className = k < now ? "done" : k === now ? "now" : "";
      const newest = job.pictures.at(-1);
      if (newest && newest.file !== shown) {
        shown = newest.file;
        before.src = picture.src;
        picture.classList.remove("there");
        void showPicture(studio.api, picture, `/api/studio/jobs/${id}/pictures/${newest.file}`);
      }
    },
  };
}

/** @param {Shell} shell @param {Job} job */
function failure(shell, job) {
  const { studio, draft, go } = shell;
  const { photo } = job;
  const image = element("img", { alt: t("Your photo") });
  if (photo) void showPicture(studio.api, image, `/api/studio/photos/${photo.id}/picture`);
  const marks = !photo ? [] : [
    ...(photo.faces.length ? photo.faces.map((_, k) => faceMark(photo, k, "span")) : [noFaceMark()]),
    ...(job.crop ? [cropMark(photo, job.crop)] : []),
  ];
  const cancelled = job.state === "cancelled";
  const again = button("Change the picture", () => {
    if (photo) draft.photo = photo;
    void studio.api.call("DELETE", `/api/studio/jobs/${job.id}`).catch(() => {});
    go("new");
  }, { kind: "primary" });
  const other = button("Another picture", () => {
    draft.photo = null;
    void studio.api.call("DELETE", `/api/studio/jobs/${job.id}`).catch(() => {});
    go("new");
  });
  return {
    nodes: [
      element("div", { class: "view-head" }, element("div", {}, element("h2", { tabindex: "-1" }, t(cancelled ? "Cancelled" : "This picture did not work")))),
      element("div", { class: "split" }, element("div", { class: "failed-photo" }, image, ...marks),
        element("div", { class: "split-form" }, ...(cancelled ? [] : [element("div", { class: "problem bad large", role: "alert" }, icon("warn"), element("p", {}, job.error))]),
          ...(cancelled ? [] : [element("ul", { class: "advice" }, ...[...(photo?.faces ?? []).flatMap((_, k) => faceProblems(/** @type {Photo} */ (photo), k)), ...["One face that looks towards the camera.", "At least 256 pixels on each side.", "Soft light from the front."].map((text) => t(text))].map((text) => element("li", {}, icon("tick"), text)))]),
          element("div", { class: "row" }, ...(photo ? [again] : []), other))),
    ],
    show: () => {},
  };
}

/** @param {Shell} shell @param {Job} job */
function result(shell, job) {
  const { studio, say, go, draft } = shell;
  draft.photo = null;
  draft.extras = [];
  draft.name = "";
  const avatar = studio.avatar(job.result);
  if (!avatar) {
    const back = button("To the gallery", () => go("gallery"), { kind: "primary" });
    return { nodes: [element("h2", { tabindex: "-1" }, t("This avatar is not here any more")), back], show: () => {} };
  }
  const live = button("Go live", () => void during(live, () => shell.goLive(avatar), say), { icon: "stage", kind: "primary large" });
  const looks = button("Choose looks", () => go(`looks-${avatar.id}`), { kind: "large" });
  const retry = button("Try another picture", () => void during(retry, async () => {
    await remove(shell, avatar);
    go("new");
  }, say), { kind: "quiet" });
  const expressions = element("div", { class: "expressions", role: "list", "aria-label": t("Expressions") }, ...EXPRESSIONS.map((name, k) => {
    const face = element("span", { class: "expression", "aria-hidden": "true" });
    void pictureAddress(studio.api, `/api/studio/avatars/${avatar.id}/pictures/expressions`, avatar.face).then((address) => {
      face.style.backgroundImage = `url("${address}")`;
      face.style.backgroundPosition = `${(k / (EXPRESSIONS.length - 1)) * 100}% 0`;
    }, () => {});
    return element("figure", { role: "listitem" }, face, element("figcaption", {}, t(name)));
  }));
  const learning = element("p", { class: "pill-line", role: "status" });
  const warnings = avatar.warnings.length ? [element("div", { class: "problem" }, element("p", {}, t("What the builder noticed:")), element("ul", {}, ...avatar.warnings.map((text) => element("li", {}, text))))] : [];
  const picture = (/** @type {string} */ name) => job.pictures.find((one) => one.name === name)?.file;
  const [photo, own] = [picture("detect"), picture("evaluate")];
  return {
    nodes: [
      element("div", { class: "view-head" }, element("div", {}, element("h2", { tabindex: "-1" }, t("Here is {name}", { name: avatar.name })), element("p", { class: "hint" }, likenessWords(avatar.likeness))), element("div", { class: "view-tools" }, retry)),
      element("div", { class: "result" },
        element("figure", { class: "result-head" }, createTurningHead(studio.api, avatar, { label: t("Turn the head of {name}", { name: avatar.name }) }), element("figcaption", { class: "hint" }, t("Drag to turn the head"))),
        ...(photo && own ? [comparison(studio.api, job.id, photo, own)] : [])),
      expressions, ...warnings,
      element("div", { class: "result-end" }, live, looks, learning),
    ],
    show: () => {
      const at = studio.get()?.jobs.find((one) => one.kind === "looks" && one.avatar === avatar.id && (one.state === "running" || one.state === "queued"));
      learning.hidden = !at;
      setText(learning, at ? t("Looks are being learnt in the background: go live meanwhile.") : "");
    },
  };
}

/**
 * Two pictures in one place, with a divider that is drawn over them.
 *
 * @param {import("../api.js").Api} api @param {string} job @param {string} photo @param {string} own
 */
function comparison(api, job, photo, own) {
  const under = element("img", { alt: t("The avatar, seen as in the photo") });
  const over = element("img", { alt: t("The photo"), class: "compare-over" });
  void showPicture(api, under, `/api/studio/jobs/${job}/pictures/${own}`);
  void showPicture(api, over, `/api/studio/jobs/${job}/pictures/${photo}`);
  const slider = element("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": t("How much of the photo is shown") });
  const frame = element("div", { class: "compare" }, under, over, element("span", { class: "compare-line", "aria-hidden": "true" }), slider,
    element("span", { class: "compare-name left", "aria-hidden": "true" }, t("Photo")), element("span", { class: "compare-name right", "aria-hidden": "true" }, t("Avatar")));
  const show = () => frame.style.setProperty("--share", `${slider.value}%`);
  slider.addEventListener("input", show);
  show();
  return element("figure", { class: "result-compare" }, frame, element("figcaption", { class: "hint" }, t("Draw the line over the pictures to compare")));
}
