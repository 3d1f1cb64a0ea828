/** The looks of one avatar: those that it has, in the order of the digit keys, and all others on its own face. */

import { capitalised, element, icon, setText } from "../dom.js";
import { t } from "../language.js";
import { PHOTOS, ask, button, during, field, filePicker, tick } from "./parts.js";
import { showPicture } from "./pictures.js";

/**
 * @typedef {import("./app.js").Shell} Shell
 * @typedef {import("./data.js").Look} Look
 */

const RELOAD_MS = 700;

/** @param {Shell} shell @param {string} id @returns {{root: HTMLElement, end: () => void}} */
export function looksView(shell, id) {
  const { studio, say, go } = shell;
  const path = `/api/studio/avatars/${id}/looks`;
  /** @type {Look[]} */
  let looks = [];
  /** @type {Map<string, HTMLElement>} */
  const tiles = new Map();
  let ended = false;
  let drawn = "";
  let version = "";
  /** @type {Set<string>} */
  const chosen = new Set();

  const title = element("h2");
  const facts = element("p", { class: "hint" });
  const find = element("input", { type: "search", placeholder: t("Find a look"), "aria-label": t("Find a look"), autocomplete: "off", spellcheck: "false" });
  const live = button("Go live", () => {
    const avatar = studio.avatar(id);
    if (avatar) void during(live, () => shell.goLive(avatar), say);
  }, { kind: "primary" });
  const photo = button("From a photo", () => void fromPhoto(shell, id), { icon: "photo" });
  const words = button("In words", () => void fromWords(shell, id), { icon: "pen" });
  const keys = element("ol", { class: "key-row" });
  const keysPart = element("section", { class: "keys-part", "aria-labelledby": "keys-part-title" },
    element("h3", { id: "keys-part-title" }, t("On the digit keys")), element("p", { class: "hint" }, t("Drag them, or use the arrow keys, to change their order. Delete takes one out.")), keys);
  const slots = element("div", { class: "look-slots" });
  const none = element("p", { class: "hint", role: "status", hidden: true }, t("No look of that name."));
  const drawing = element("p", { class: "pill-line", role: "status", hidden: true });
  const add = button("", () => void during(add, learn, say), { kind: "primary" });
  const addBar = element("div", { class: "add-bar", hidden: true }, add, button("Clear", () => {
    chosen.clear();
    show();
  }, { kind: "quiet" }));
  const root = element("div", { class: "view looks" },
    element("div", { class: "view-head" }, element("div", {}, title, facts), element("div", { class: "view-tools" }, photo, words, live)),
    keysPart, element("div", { class: "look-find" }, find, drawing), slots, none, addBar);

  async function learn() {
    await studio.api.call("POST", path, { looks: [...chosen] });
    chosen.clear();
    await studio.refresh();
  }

  async function load() {
    try {
      ({ looks } = await studio.api.call("GET", path));
    } catch (error) {
      say(error instanceof Error ? error.message : String(error), "error");
      go("gallery");
      return;
    }
    if (ended) return;
    build();
    show();
  }

  function build() {
    const shape = JSON.stringify(looks.map(({ name, slot }) => [name, slot]));
    if (shape === drawn) return;
    drawn = shape;
    tiles.clear();
    /** @type {Map<string, HTMLElement>} */
    const groups = new Map();
    slots.replaceChildren();
    for (const look of looks) {
      let group = groups.get(look.slot);
      if (!group) {
        group = element("ul", { class: "look-tiles" });
        groups.set(look.slot, group);
        slots.append(element("section", { class: "look-slot", "aria-label": t(capitalised(look.slot)) }, element("h3", {}, t(capitalised(look.slot))), group));
      }
      const image = element("img", { alt: "", loading: "lazy" });
      const symbol = look.built_in ? [] : [element("span", { class: "look-symbol" }, icon("spark"))];
      const state = element("span", { class: "look-state" });
      const tile = element("button", { type: "button", class: "look-tile", "data-look": look.name }, image, ...symbol, element("span", { class: "look-name" }, t(look.label)), state);
      tile.addEventListener("click", () => press(look.name));
      tiles.set(look.name, tile);
      group.append(element("li", {}, tile));
    }
  }

  /** @param {string} name */
  function press(name) {
    const look = looks.find((one) => one.name === name);
    if (!look) return;
    if (look.key) {
      void wear(name);
      return;
    }
    if (chosen.has(name)) chosen.delete(name);
    else chosen.add(name);
    show();
  }

  /** A look that is there: put it on where the avatar is on stage. @param {string} name */
  async function wear(name) {
    const avatar = studio.avatar(id);
    if (avatar?.on_stage) shell.send({ action: "attribute", name });
    else say(t("{name} is ready: go live to use it.", { name: t(looks.find((one) => one.name === name)?.label ?? name) }), "notice");
  }

  function show() {
    const known = studio.get();
    const avatar = studio.avatar(id);
    if (!known || !avatar) return;
    setText(title, t("Looks of {name}", { name: avatar.name }));
    setText(facts, t("Click looks to choose them; learning one takes a few seconds."));
    const jobs = known.jobs.filter((job) => job.state === "running" || job.state === "queued");
    const mine = jobs.filter((job) => job.avatar === id);
    const preview = jobs.find((job) => job.kind === "previews" && job.of === id);
    drawing.hidden = !preview;
    setText(drawing, preview ? t("Drawing all looks on this face: {percent} %", { percent: Math.round(preview.share * 100) }) : "");
    const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const look of looks) {
      const tile = tiles.get(look.name);
      if (!tile) continue;
      const text = `${look.label} ${t(look.label)} ${look.slot} ${t(capitalised(look.slot))}`.toLowerCase();
      const fits = wanted.every((word) => text.includes(word));
      if (tile.parentElement) tile.parentElement.hidden = !fits;
      found += fits ? 1 : 0;
      const there = look.key > 0;
      const state = /** @type {HTMLElement} */ (tile.querySelector(".look-state"));
      tile.classList.toggle("there", there);
      tile.setAttribute("aria-pressed", String(there || chosen.has(look.name)));
      tile.classList.toggle("chosen", chosen.has(look.name));
      state.replaceChildren(there ? icon("tick") : chosen.has(look.name) ? icon("plus") : "");
      tile.title = there ? t("This avatar has it") : "";
      const drawnNow = look.picture || preview?.pictures.some(({ name }) => name === look.name) || tile.classList.contains("drawn");
      if (drawnNow && !tile.classList.contains("drawn")) {
        tile.classList.add("drawn");
        void showPicture(studio.api, /** @type {HTMLImageElement} */ (tile.querySelector("img")), `${path}/${look.name}/picture`);
      }
    }
    for (const slot of slots.children) {
      /** @type {HTMLElement} */ (slot).hidden = [...slot.querySelectorAll("li")].every((line) => line.hidden);
    }
    none.hidden = found > 0;
    addBar.hidden = chosen.size === 0;
    setText(add, t(chosen.size === 1 ? "Learn 1 look" : "Learn {count} looks", { count: chosen.size }));
    showKeys(mine.length > 0);
    const busy = mine[0];
    root.classList.toggle("learning", mine.length > 0);
    if (busy) setText(facts, busy.state === "queued" ? t("Waits to learn: {looks}", { looks: busy.title }) : t("Learning: {looks}", { looks: busy.title }) + (busy.left === null ? "" : ` · ${t("about {seconds} s left", { seconds: Math.ceil(busy.left) })}`));
  }

  /** @param {boolean} locked */
  function showKeys(locked) {
    const avatar = studio.avatar(id);
    const own = avatar?.looks ?? [];
    keysPart.hidden = own.length === 0;
    const shape = JSON.stringify([own, locked]);
    if (keys.dataset.shape === shape) return;
    keys.dataset.shape = shape;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.own : undefined;
    keys.replaceChildren(...own.map((look, k) => keyTile(look, k, own, locked)));
    if (focused) /** @type {HTMLElement | null} */ (keys.querySelector(`[data-own="${CSS.escape(focused)}"]`))?.focus();
  }

  /** @param {import("./data.js").OwnLook} look @param {number} k @param {import("./data.js").OwnLook[]} own @param {boolean} locked */
  function keyTile(look, k, own, locked) {
    const names = own.map(({ name }) => name);
    const chip = element("button", { type: "button", class: "chip", draggable: locked ? "false" : "true", "data-own": look.name,
      "aria-label": k < 9 ? t("{look}, key {key}", { look: t(look.label), key: k + 1 }) : t(look.label) },
    ...(k < 9 ? [element("kbd", { "aria-hidden": "true" }, String(k + 1))] : []), element("span", {}, t(look.label)));
    const line = element("li", {}, chip);
    /** @param {number} to */
    const move = (to) => {
      if (locked || to < 0 || to >= names.length || to === k) return;
      const order = names.filter((name) => name !== look.name);
      order.splice(to, 0, look.name);
      void arrange(order);
    };
    chip.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) {
        event.preventDefault();
        move(k + step);
      }
      if (event.key === "Delete" && !locked) void arrange(names.filter((name) => name !== look.name));
    });
    chip.addEventListener("dragstart", (event) => event.dataTransfer?.setData("text/x-look", look.name));
    line.addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("text/x-look")) event.preventDefault();
    });
    line.addEventListener("drop", (event) => {
      const from = event.dataTransfer?.getData("text/x-look");
      if (!from || from === look.name || locked) return;
      event.preventDefault();
      const order = names.filter((name) => name !== from);
      order.splice(k, 0, from);
      void arrange(order);
    });
    const drop = element("button", { type: "button", class: "tool small", "aria-label": t("Take out {look}", { look: t(look.label) }), disabled: locked }, icon("close"));
    drop.addEventListener("click", () => void arrange(names.filter((name) => name !== look.name)));
    line.append(drop);
    return line;
  }

  /** @param {string[]} order */
  async function arrange(order) {
    keys.classList.add("working");
    try {
      await studio.api.call("PUT", path, { looks: order });
      await studio.refresh();
    } catch (error) {
      say(error instanceof Error ? error.message : String(error), "error");
    }
    keys.classList.remove("working");
  }

  find.addEventListener("input", show);
  const stop = studio.subscribe(() => {
    const avatar = studio.avatar(id);
    if (!avatar) {
      go("gallery");
      return;
    }
    if (avatar.version !== version) {
      version = avatar.version;
      void load();
    } else show();
  });
  void studio.api.call("POST", `${path}/pictures`).catch(() => {}); // those that are missing are drawn now
  const timer = setInterval(() => {
    if (tiles.size && [...tiles.values()].some((tile) => !tile.classList.contains("drawn"))) show();
  }, RELOAD_MS);
  return {
    root,
    end: () => {
      ended = true;
      clearInterval(timer);
      stop();
    },
  };
}

const PARTS = { hair: "Hair", beard: "Beard", brows: "Eyebrows", glasses: "Glasses", hat: "Hat", makeup: "Make-up", eyes: "Eye colour" };

/** A look from another person's photo. @param {Shell} shell @param {string} id */
async function fromPhoto({ studio, say }, id) {
  /** @type {import("./data.js").Photo | null} */
  let photo = null;
  const image = element("img", { alt: "", class: "from-photo" });
  const picker = filePicker(PHOTOS, false, (files) => void choose(files[0]));
  const pick = button("Choose a photo", () => picker.click(), { icon: "photo" });
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const part = element("select", {}, ...Object.entries(PARTS).map(([name, label]) => element("option", { value: name }, t(label))));
  const consent = tick(element("span", {}, t("The person in this photo agrees that this part of their looks is taken over.")));
  consent.input.required = true;
  /** @param {File | undefined} file */
  async function choose(file) {
    if (!file) return;
    problem.hidden = true;
    try {
      photo = await studio.api.upload("/api/studio/photos", file, file.name);
      if (photo) await showPicture(studio.api, image, `/api/studio/photos/${photo.id}/picture`);
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error instanceof Error ? error.message : String(error);
    }
  }
  const fine = await ask({ title: t("A look from another photo"), text: t("Hair, a beard, glasses or a hat that somebody wears in a photo."),
    fields: [element("div", { class: "row" }, pick, picker), image, problem, field(t("What is taken over"), part), consent.root], yes: t("Learn it") });
  if (!fine || !photo) return;
  const body = { photo: photo.id, part: part.value, name: `${part.value}-${photo.name.replace(/\.[^.]*$/, "")}`, consent: true };
  try {
    await studio.api.call("POST", `/api/studio/avatars/${id}/looks/from-photo`, body);
    await studio.refresh();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error), "error");
  }
}

/** Where looks from words are not set up. @type {Record<string, string>} */
const NO_WORDS = {
  unset: "A picture model paints what you describe. None is set up: name the folder of a diffusers pipeline for inpainting in the settings file, and start perse-live again.",
  missing: "The settings file names a folder as text_model that has no diffusers pipeline: it needs a file model_index.json.",
  package: "The packages for it are not installed: pip install “perse-live[generate]”, and start perse-live again.",
};

/** A look that words describe. @param {Shell} shell @param {string} id */
async function fromWords({ studio, say }, id) {
  const { problem, settings } = studio.get()?.text_looks ?? { problem: "unset", settings: "" };
  if (problem) {
    const line = element("code", { class: "code-line" }, 'text_model = "/folder/of/the/pipeline"');
    await ask({ title: t("A look in words"), text: t(NO_WORDS[problem] ?? problem),
      fields: [...(problem === "unset" ? [line] : []), ...(problem !== "package" ? [element("p", { class: "hint" }, t("Settings file: {path}", { path: settings }))] : [])], yes: t("Done"), no: t("Close") });
    return;
  }
  const text = element("input", { type: "text", maxlength: "200", required: true, autofocus: true, placeholder: t("a short boxed beard") });
  const part = element("select", {}, ...Object.entries(PARTS).map(([name, label]) => element("option", { value: name }, t(label))));
  const seed = element("input", { type: "number", min: "0", max: "999999", value: "0" });
  const fine = await ask({ title: t("A look in words"), text: t("In English, as short as “round red glasses”. Painting takes minutes without a GPU; you can be live meanwhile."),
    fields: [field(t("What it looks like"), text), field(t("What is painted"), part), field(t("Seed: another number paints another picture"), seed)], yes: t("Learn it") });
  if (!fine) return;
  try {
    await studio.api.call("POST", `/api/studio/avatars/${id}/looks/from-text`, { text: text.value, part: part.value, seed: Math.round(Number(seed.value)) || 0 });
    await studio.refresh();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error), "error");
  }
}
