/** The gallery: all avatars of the library. */

import { element, icon } from "../dom.js";
import { language, t } from "../language.js";
import { asDate, asSize, ask, button, during, field, filePicker, likenessWords } from "./parts.js";
import { createTurningHead } from "./turn.js";

/**
 * @typedef {import("./data.js").Avatar} Avatar
 * @typedef {import("./app.js").Shell} Shell
 */

/** @param {Shell} shell @returns {{root: HTMLElement, end: () => void}} */
export function galleryView(shell) {
  const { studio, go } = shell;
  const grid = element("ul", { class: "cards" });
  const folder = element("p", { class: "hint" });
  const notice = element("div", { class: "studio-notice", role: "status", hidden: true });
  const picker = filePicker(".perse", true, (files) => void takeIn(shell, files));
  const add = button("Add a file", () => picker.click(), { kind: "quiet" });
  const root = element("div", { class: "view gallery" },
    element("div", { class: "view-head" },
      element("div", {}, element("h2", {}, t("Your avatars")), folder),
      element("div", { class: "view-tools" }, add, picker)),
    notice, grid);
  const welcome = welcomePart(shell);
  let built = "";

  const end = studio.subscribe((known) => {
    const shape = JSON.stringify([known.avatars, known.writable]);
    if (shape === built) return;
    built = shape;
    notice.hidden = known.writable;
    notice.textContent = known.writable ? "" : t("This folder may only be read: avatars can be shown, but not made or changed. Start perse-live with --library and another folder.");
    add.hidden = !known.writable;
    const count = known.avatars.length;
    folder.textContent = t(count === 1 ? "1 avatar, on this computer only" : "{count} avatars, on this computer only", { count });
    folder.title = known.folder;
    welcome.hidden = known.avatars.length > 0;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.focus : undefined;
    grid.replaceChildren(...(known.writable ? [newCard(go)] : []), ...known.avatars.map((avatar) => card(shell, avatar)));
    grid.hidden = known.avatars.length === 0;
    if (focused) /** @type {HTMLElement | null} */ (grid.querySelector(`[data-focus="${CSS.escape(focused)}"]`))?.focus();
  });
  root.append(welcome);
  return { root, end };
}

/** What somebody sees first. @param {Shell} shell */
function welcomePart({ go }) {
  const step = (/** @type {string} */ symbol, /** @type {string} */ title, /** @type {string} */ text) =>
    element("li", {}, element("span", { class: "step-icon" }, icon(symbol)), element("h3", {}, t(title)), element("p", {}, t(text)));
  return element("section", { class: "welcome", hidden: true },
    element("div", { class: "welcome-art", "aria-hidden": "true" }, element("span"), element("span"), element("span")),
    element("h2", {}, t("Become your avatar")),
    element("p", { class: "lead" }, t("One picture of you is enough. In less than a minute it moves, talks and looks around as you do.")),
    element("div", { class: "welcome-buttons" },
      button("Use your camera", () => go("camera"), { icon: "camera", kind: "primary large" }),
      button("Choose a photo", () => go("new"), { icon: "photo", kind: "large" })),
    element("ol", { class: "steps" },
      step("photo", "A picture", "Your camera or a photo, seen from the front and well lit."),
      step("spark", "Half a minute", "Your computer builds a head in three dimensions from it."),
      step("stage", "You are live", "In calls, in OBS or in a film, with a beard and a hat if you like.")),
    element("p", { class: "promise" }, icon("lock"), t("Nothing leaves this computer.")));
}

/** @param {(view: string) => void} go */
function newCard(go) {
  const made = element("button", { type: "button", class: "card card-new", "data-focus": "new" },
    element("span", { class: "plus", "aria-hidden": "true" }, icon("plus")), element("span", { class: "card-new-name" }, t("New avatar")),
    element("span", { class: "hint" }, t("From a photo or your camera")));
  made.addEventListener("click", () => go("new"));
  return element("li", {}, made);
}

const PROBLEMS = {
  old: "Made by a much older version of perse-live. Build it again from its photo to use it.",
  new: "Made by a newer version of perse-live. Update perse-live to use it.",
  damaged: "This file is damaged, or is not an avatar.",
};

/** @param {Shell} shell @param {Avatar} avatar */
function card(shell, avatar) {
  const { studio, go, say } = shell;
  const usable = !avatar.problem;
  const picture = usable ? createTurningHead(studio.api, avatar, { hover: true })
    : element("div", { class: "head broken" }, icon("warn"));
  const open = element("button", { type: "button", class: "card-picture", "aria-label": t("Go live as {name}", { name: avatar.name }), "data-focus": `${avatar.id} open` }, picture);
  open.disabled = !usable;
  open.addEventListener("click", () => void during(open, () => shell.goLive(avatar), say));
  if (avatar.on_stage) open.append(element("span", { class: "tag live-tag" }, element("span", { class: "dot" }), t("On stage")));
  else if (avatar.busy) open.append(element("span", { class: "tag" }, element("span", { class: "spinner" }), t("Learning looks")));

  const facts = usable
    ? [asDate(avatar.made || avatar.modified, language()), avatar.looks.length ? t(avatar.looks.length === 1 ? "1 look" : "{count} looks", { count: avatar.looks.length }) : "", asSize(avatar.bytes)].filter(Boolean).join(" · ")
    : t(PROBLEMS[avatar.problem || "damaged"]);
  const likeness = likenessWords(avatar.likeness);
  const live = button("Go live", () => void during(live, () => shell.goLive(avatar), say),
    { kind: "primary", label: t("Go live as {name}", { name: avatar.name }) });
  live.dataset.focus = `${avatar.id} live`;
  const looks = button("Looks", () => go(`looks-${avatar.id}`), { label: t("Looks of {name}", { name: avatar.name }) });
  looks.dataset.focus = `${avatar.id} looks`;
  const writable = studio.get()?.writable ?? false;
  const again = button("Build again", () => void during(again, () => buildAgain(shell, avatar), say), { kind: "primary" });
  const upgrade = button("Upgrade", () => void during(upgrade, async () => {
    await studio.api.call("POST", `/api/studio/avatars/${avatar.id}/upgrade`);
    say(t("{name} has been updated to the current version.", { name: avatar.name }), "notice");
  }, say), { kind: "small", label: t("Upgrade {name}", { name: avatar.name }) });
  return element("li", { class: "card", "data-avatar": avatar.name },
    open,
    element("div", { class: "card-words" }, element("h3", {}, avatar.name), element("p", { class: "hint" }, facts),
      ...(usable && likeness ? [element("p", { class: "hint likeness", title: `${avatar.likeness} dB` }, likeness)] : []),
      ...(usable && avatar.upgradable ? [element("p", { class: "hint older" }, t("Made by an older version of perse-live."), ...(writable ? [upgrade] : []))] : [])),
    element("div", { class: "card-buttons" }, ...(usable ? [live, looks]
      : avatar.problem === "old" && writable ? [again] : []), menu(shell, avatar)));
}

/** @param {Shell} shell @param {Avatar} avatar */
function menu(shell, avatar) {
  const { studio, say } = shell;
  const path = `/api/studio/avatars/${avatar.id}`;
  const writable = studio.get()?.writable ?? false;
  /** @type {[string, string, () => Promise<unknown>][]} */
  const items = [
    ...(/** @type {[string, string, () => Promise<unknown>][]} */ (writable ? [
      ["Rename", "pen", () => rename(shell, avatar)],
      ["Duplicate", "copy", () => studio.api.call("POST", `${path}/copy`)],
      ...(avatar.photo ? /** @type {[string, string, () => Promise<unknown>][]} */ ([["Build again", "spark", () => buildAgain(shell, avatar)]]) : []),
    ] : [])),
    ["Export", "down", async () => download(await studio.api.call("POST", `${path}/export`))],
    ...(/** @type {[string, string, () => Promise<unknown>][]} */ (studio.get()?.own_machine ? [
      ["Show file", "folder", () => studio.api.call("POST", `${path}/file`)]] : [])),
    ...(/** @type {[string, string, () => Promise<unknown>][]} */ (writable ? [["Delete", "trash", () => remove(shell, avatar)]] : [])),
  ];
  const list = element("div", { class: "menu", popover: "auto", role: "menu" });
  const more = element("button", { type: "button", class: "tool more", "aria-label": t("More for {name}", { name: avatar.name }), "aria-haspopup": "menu", "aria-expanded": "false", "data-focus": `${avatar.id} more` }, icon("more"));
  for (const [name, symbol, act] of items) {
    const item = element("button", { type: "button", role: "menuitem", class: name === "Delete" ? "danger" : "" }, icon(symbol), t(name));
    item.addEventListener("click", () => {
      list.hidePopover();
      more.focus();
      void during(item, act, say);
    });
    list.append(item);
  }
  list.addEventListener("toggle", (event) => {
    const isOpen = /** @type {ToggleEvent} */ (event).newState === "open";
    more.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) return;
    const { right, bottom, top } = more.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = list;
    list.style.left = `${Math.max(8, right - width)}px`;
    list.style.top = `${bottom + height + 8 > innerHeight ? Math.max(8, top - height - 6) : bottom + 6}px`;
  });
  list.addEventListener("keydown", (event) => {
    const buttons = /** @type {HTMLElement[]} */ ([...list.children]);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    buttons[(at + step + buttons.length) % buttons.length]?.focus();
  });
  more.addEventListener("click", () => {
    list.togglePopover();  // its event comes later, and a key may be pressed before
    if (list.matches(":popover-open")) /** @type {HTMLElement | null} */ (list.firstElementChild)?.focus();
  });
  return element("span", { class: "menu-place" }, more, list);
}

/** @param {Shell} shell @param {Avatar} avatar */
async function rename({ studio }, avatar) {
  const input = element("input", { type: "text", value: avatar.name, maxlength: "60", required: true, autofocus: true });
  const fine = await ask({ title: t("Rename {name}", { name: avatar.name }), fields: [field(t("Name"), input)], yes: t("Rename") });
  if (fine) await studio.api.call("POST", `/api/studio/avatars/${avatar.id}/name`, { name: input.value });
}

/** From the photo that was kept, else from one that is chosen now. @param {Shell} shell @param {Avatar} avatar */
async function buildAgain({ studio, draft, go }, avatar) {
  draft.photo = avatar.photo ? await studio.api.call("POST", `/api/studio/avatars/${avatar.id}/photo`) : null;
  draft.name = avatar.name;
  go("new");
}

/** @param {Shell} shell @param {Avatar} avatar */
export async function remove({ studio, say }, avatar) {
  const { undo } = await studio.api.call("DELETE", `/api/studio/avatars/${avatar.id}`);
  say(t("{name} is in the trash.", { name: avatar.name }), "notice", {
    name: t("Undo"),
    act: async () => {
      await studio.api.call("POST", `/api/studio/trash/${undo}`);
    },
  });
}

/** @param {{address: string, file: string}} found */
function download({ address, file }) {
  const link = element("a", { href: address, download: file });
  link.click();
}

/** Avatar files that were chosen or dropped. @param {Shell} shell @param {File[]} files */
export async function takeIn({ studio, say }, files) {
  for (const file of files) {
    try {
      const { name } = await studio.api.upload("/api/studio/avatars", file, file.name);
      say(t("{name} is in your library.", { name }), "notice");
    } catch (error) {
      say(error instanceof Error ? error.message : String(error), "error");
    }
  }
}
