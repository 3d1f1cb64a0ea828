/** The studio's views in the page: which one is shown, what is dropped onto it, and the job that runs. */

import { element, icon, setText } from "../dom.js";
import { LANGUAGES } from "../strings.js";
import { language, speak, t } from "../language.js";
import { captureView } from "./capture.js";
import { createStudio } from "./data.js";
import { galleryView, takeIn } from "./gallery.js";
import { jobView } from "./job.js";
import { looksView } from "./looks.js";
import { newView } from "./new.js";
import { mountStageParts } from "./stage.js";

/**
 * @typedef {(text: string, tone?: "notice" | "error", action?: {name: string, act: () => Promise<unknown>}) => void} Say
 * @typedef {{
 *   studio: import("./data.js").StudioData, go: (view: string) => void, say: Say, send: import("../link.js").Send,
 *   goLive: (avatar: import("./data.js").Avatar) => Promise<void>, draft: import("./new.js").Draft,
 *   onPhotos: ((files: File[]) => void) | null,
 * }} Shell
 */

const LIVE = "stage";

/**
 * @param {import("../api.js").Api} api @param {import("../store.js").Store} store @param {import("../link.js").Send} send @param {Say} say
 * @param {{live: HTMLElement, studio: HTMLElement, nav: HTMLElement, jobs: HTMLElement, dock: HTMLElement,
 *   presets: HTMLElement, output: HTMLElement, moreLooks: HTMLElement, toasts: HTMLElement, stageToasts: HTMLElement}} places
 * @param {() => void} watchNow begins to watch the stage
 */
export function mountStudio(api, store, send, say, places, watchNow) {
  const studio = createStudio(api);
  /** @type {Shell} */
  const shell = {
    studio, say, send, go,
    draft: { photo: null, extras: [], name: "", failed: "" },
    onPhotos: null,
    goLive: async (avatar) => {
      await api.call("POST", `/api/studio/avatars/${avatar.id}/live`);
      store.set({ state: await api.state() });
      go(LIVE);
    },
  };
  /** @type {{name: string, root: HTMLElement, end: () => void} | null} */
  let shown = null;

  /** @param {string} view */
  function go(view) {
    const hash = new URLSearchParams(location.hash.slice(1));
    if (hash.get("view") === view) return;
    hash.set("view", view);
    location.hash = hash.toString();
  }

  function show() {
    const wished = new URLSearchParams(location.hash.slice(1)).get("view");
    const name = wished ?? (store.get().state?.avatars.length ? LIVE : "gallery");
    const isLive = name === LIVE;
    places.live.hidden = !isLive;
    places.studio.hidden = isLive;
    (isLive ? places.stageToasts : document.body).append(places.toasts);
    places.toasts.classList.toggle("floating", !isLive);
    document.documentElement.dataset.view = isLive ? LIVE : "studio";
    for (const link of places.nav.querySelectorAll("a")) {
      const here = link.dataset.view === (isLive ? LIVE : "gallery");
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (isLive) {
      watchNow();
      leave();
      return;
    }
    if (shown?.name === name) return;
    leave();
    const [kind = "", id = ""] = name.split(/-(.*)/);
    const view = kind === "new" ? newView(shell) : name === "camera" ? captureView(shell, false) : name === "camera-more" ? captureView(shell, true)
      : kind === "job" ? jobView(shell, id) : kind === "looks" ? looksView(shell, id) : galleryView(shell);
    shown = { name, ...view };
    places.studio.replaceChildren(view.root);
    const title = view.root.querySelector("h2");
    if (title) {
      title.tabIndex = -1;
      title.focus({ preventScroll: true });
    }
    scrollTo(0, 0);
  }

  function leave() {
    shown?.end();
    shown = null;
    places.studio.replaceChildren();
  }

  places.nav.hidden = false;
  places.nav.append(...[["gallery", "Avatars"], [LIVE, "Stage"]].map(([view = "", name = ""]) => {
    const link = element("a", { href: "#", "data-view": view }, t(name));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      go(view);
    });
    return link;
  }));
  window.addEventListener("hashchange", show);
  mountJobs(shell, places.jobs);
  mountDrop(shell);
  mountEmptyStage(shell, store, places.live);
  mountStageParts(shell, store, { presets: places.presets, output: places.output, more: places.moreLooks });
  studio.start();
  show();
  return shell;
}

/** What runs just now, in the page's head. @param {Shell} shell @param {HTMLElement} place */
function mountJobs({ studio, go, say }, place) {
  const words = element("span", { class: "job-words" });
  const open = element("button", { type: "button", class: "job-pill" }, element("span", { class: "spinner" }), words);
  const cancel = element("button", { type: "button", class: "tool small", "aria-label": t("Cancel") }, icon("close"));
  place.append(open, cancel);
  let id = "";
  /** @type {Set<string>} */
  const told = new Set();
  let first = true;
  open.addEventListener("click", () => {
    const job = studio.job(id);
    if (job?.kind === "build") go(`job-${job.id}`);
    else if (job) go(`looks-${job.avatar || job.of}`);
  });
  cancel.addEventListener("click", () => void studio.api.call("DELETE", `/api/studio/jobs/${id}`).catch((error) => say(error.message, "error")));
  studio.subscribe(({ jobs }) => {
    const running = jobs.find(({ state }) => state === "running");
    const waiting = jobs.filter(({ state }) => state === "queued").length;
    place.hidden = !running;
    if (running) {
      id = running.id;
      const what = running.kind === "build" ? t("Building {name}", { name: running.title }) : running.kind === "previews" ? t("Drawing looks") : t("Learning looks");
      setText(words, `${what} · ${Math.round(running.share * 100)} %${waiting ? ` · +${waiting}` : ""}`);
      open.title = running.left === null ? "" : t("about {seconds} s left", { seconds: Math.ceil(running.left) });
    }
    for (const job of jobs) {
      if (job.state === "queued" || job.state === "running" || told.has(job.id)) continue;
      told.add(job.id);
      if (first || job.kind === "previews") continue;
      if (job.state === "failed" && job.kind !== "build") say(job.error, "error");
      if (job.state === "done" && job.kind !== "build") say(t("Learnt: {looks}", { looks: job.title }), "notice");
      if (job.kind !== "build") for (const warning of job.warnings) say(warning, "notice");
    }
    first = false;
  });
}

/** Files that are dropped anywhere: photos become avatars, avatars go into the library. @param {Shell} shell */
function mountDrop(shell) {
  const cover = element("div", { class: "drop-cover", hidden: true, "aria-hidden": "true" }, element("p", {}, icon("down"), t("Drop a photo or avatar files")));
  document.body.append(cover);
  let depth = 0;
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    cover.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    cover.hidden = depth === 0;
  });
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    cover.hidden = true;
    const files = [...(event.dataTransfer?.files ?? [])];
    const avatars = files.filter(({ name }) => name.toLowerCase().endsWith(".perse"));
    const photos = files.filter((file) => !avatars.includes(file));
    if (avatars.length) void takeIn(shell, avatars);
    if (!photos.length) return;
    if (!shell.onPhotos) shell.go("new");
    setTimeout(() => shell.onPhotos?.(photos), 0);
  });
}

/** The stage while nobody is on it. @param {Shell} shell @param {import("../store.js").Store} store @param {HTMLElement} live */
function mountEmptyStage({ go }, store, live) {
  const open = element("button", { type: "button", class: "button primary" }, t("Choose an avatar"));
  open.addEventListener("click", () => go("gallery"));
  const empty = element("div", { class: "empty-stage", hidden: true }, element("p", { class: "cover-title" }, t("Nobody is on stage")), element("p", { class: "hint" }, t("Choose one of your avatars, or make a new one.")), open);
  live.querySelector(".frame")?.append(empty);
  store.subscribe(({ state }) => {
    const isEmpty = state !== null && state.avatars.length === 0;
    empty.hidden = !isEmpty;
    document.documentElement.classList.toggle("nobody", isEmpty);
  });
}

/** @param {HTMLElement} tools where the choice stands */
export function mountLanguage(tools) {
  const choice = element("select", { class: "language", "aria-label": t("Language") }, ...Object.entries(LANGUAGES).map(([tag, name]) => element("option", { value: tag, lang: tag }, name)));
  choice.value = language();
  choice.addEventListener("change", () => speak(choice.value));
  tools.prepend(choice);
}
