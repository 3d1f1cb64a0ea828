/** What the studio adds to the stage: presets of looks, own backgrounds, the virtual camera, size and rate, a link to watch. */

import { element, icon } from "../dom.js";
import { t } from "../language.js";
import { ask, button, during, field, filePicker } from "./parts.js";

/** @typedef {import("./app.js").Shell} Shell */

const SIZES = /** @type {const} */ ([[512, 512, "Square"], [720, 720, "Square, large"], [640, 480, "4:3"], [1280, 720, "Wide (HD)"], [720, 1280, "Upright"]]);
const RATES = [15, 24, 30, 60];

/**
 * @param {Shell} shell @param {import("../store.js").Store} store
 * @param {{presets: HTMLElement, output: HTMLElement, more: HTMLElement}} places
 */
export function mountStageParts(shell, store, places) {
  mountPresets(shell, store, places.presets);
  mountOutput(shell, store, places.output);
  const looks = button("More looks", () => {
    const { state } = store.get();
    const name = state?.avatars[state.avatar - 1];
    const avatar = shell.studio.get()?.avatars.find((one) => one.name === name);
    shell.go(avatar ? `looks-${avatar.id}` : "gallery");
  }, { icon: "plus" });
  places.more.append(looks);
  places.more.hidden = false;
}

/** @param {Shell} shell @param {import("../store.js").Store} store @param {HTMLElement} section */
function mountPresets({ studio, send, say }, store, section) {
  const list = element("ul", { class: "preset-list" });
  const keep = button("Keep these looks", () => void during(keep, save, say), { kind: "small" });
  const picker = filePicker(".json,application/json", false, (files) => void bring(files[0]));
  const open = button("Open", () => picker.click(), { kind: "small quiet", label: t("Open a preset from a file") });
  section.append(element("div", { class: "group-head" }, element("h2", { id: "presets-title" }, t("Presets"))), list, element("div", { class: "row" }, keep, open, picker));
  section.hidden = false;
  let built = "";
  const show = () => {
    const presets = studio.get()?.presets ?? [];
    const shape = JSON.stringify(presets);
    if (shape === built) return;
    built = shape;
    list.replaceChildren(...presets.map((preset) => {
      const use = element("button", { type: "button", class: "chip" }, element("span", {}, preset.name));
      if (preset.key) {
        use.append(element("kbd", { "aria-hidden": "true" }, preset.key));
        use.setAttribute("aria-keyshortcuts", preset.key);
      }
      use.addEventListener("click", () => send({ action: "weights", weights: preset.weights }));
      const share = element("button", { type: "button", class: "tool small", "aria-label": t("Save {name} to a file", { name: preset.name }) }, icon("down"));
      share.addEventListener("click", () => {
        const link = element("a", { href: URL.createObjectURL(new Blob([JSON.stringify(preset, null, 1)], { type: "application/json" })), download: `${preset.name}.json` });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      });
      const drop = element("button", { type: "button", class: "tool small", "aria-label": t("Delete {name}", { name: preset.name }) }, icon("close"));
      drop.addEventListener("click", () => void studio.api.call("DELETE", `/api/studio/presets/${encodeURIComponent(preset.name)}`).then(studio.refresh, (error) => say(error.message, "error")));
      return element("li", {}, use, share, drop);
    }));
  };
  studio.subscribe(show);

  async function save() {
    const worn = Object.fromEntries((store.get().state?.attributes ?? []).filter(({ target }) => target > 0).map(({ name, target }) => [name, target]));
    const name = element("input", { type: "text", maxlength: "60", required: true, autofocus: true });
    const key = element("input", { type: "text", maxlength: "1", class: "one-key" });
    const taken = new Set([...Object.keys(store.get().state?.keys ?? {}), "?", "/", "f", "i"]);
    key.addEventListener("input", () => key.setCustomValidity(taken.has(key.value.toLowerCase()) ? t("This key is already in use.") : ""));
    const fine = await ask({ title: t("Keep these looks"), text: Object.keys(worn).length ? t("All looks that are on now, with how far they are on.") : t("No look is on now: this preset takes all of them off."),
      fields: [field(t("Name"), name), field(t("Key (not needed)"), key)], yes: t("Keep") });
    if (!fine) return;
    await studio.api.call("POST", "/api/studio/presets", { name: name.value, key: key.value, weights: worn });
    await studio.refresh();
  }

  /** @param {File | undefined} file */
  async function bring(file) {
    if (!file) return;
    try {
      if (file.size > 64_000) throw new Error(t("This is no preset."));
      await studio.api.call("POST", "/api/studio/presets", JSON.parse(await file.text()));
      await studio.refresh();
    } catch (error) {
      say(`${file.name}: ${error instanceof SyntaxError ? t("This is no preset.") : error instanceof Error ? error.message : error}`, "error");
    }
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.matches("input:not([type=range], [type=radio], [type=checkbox]), textarea, select");
    if (event.repeat || typing || event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || section.closest("[hidden]")) return;
    const preset = studio.get()?.presets.find(({ key }) => key && key === event.key.toLowerCase());
    if (preset) send({ action: "weights", weights: preset.weights });
  });
}

/** @param {Shell} shell @param {import("../store.js").Store} store @param {HTMLElement} section */
function mountOutput({ studio, send, say }, store, section) {
  const camera = element("button", { type: "button", class: "switch", role: "switch", "aria-checked": "false" }, element("span", {}, t("Virtual camera")), element("span", { class: "switch-knob", "aria-hidden": "true" }));
  camera.addEventListener("click", () => send({ action: "virtual-camera" }));
  const size = element("select", { "aria-label": t("Size of the picture") }, ...SIZES.map(([width, height, name]) => element("option", { value: `${width}x${height}` }, `${t(name)} · ${width} × ${height}`)));
  const rate = element("select", { "aria-label": t("Pictures a second") }, ...RATES.map((fps) => element("option", { value: String(fps) }, t("{fps} a second", { fps }))));
  const change = () => {
    const [width, height] = size.value.split("x").map(Number);
    send({ action: "picture", width, height, fps: Number(rate.value) });
  };
  size.addEventListener("change", change);
  rate.addEventListener("change", change);
  const share = button("Copy a link to watch", () => void during(share, async () => {
    const { address, shared } = await studio.api.call("POST", "/api/studio/watch-link");
    try {
      await navigator.clipboard.writeText(address);
      say(t(shared ? "Copied. Anyone with the link receives the avatar’s file and can keep it." : "Copied. Anyone with the link can watch, and nothing else."), "notice");
    } catch {
      const input = element("input", { type: "text", readonly: true, value: address });
      await ask({ title: t("A link to watch"), text: t(shared ? "Anyone with the link receives the avatar’s file and can keep it." : "Anyone with the link can watch, and nothing else."), fields: [field(t("Link"), input)], yes: t("Done"), no: t("Close") });
    }
  }, say), { icon: "eye", kind: "wide" });
  section.append(element("div", { class: "group-head" }, element("h2", { id: "output-title" }, t("Output"))), camera,
    element("div", { class: "pair" }, size, rate), share);
  section.hidden = false;
  store.subscribe(({ state }) => {
    if (!state) return;
    camera.hidden = state.virtual_camera === undefined || state.virtual_camera === null;
    camera.setAttribute("aria-checked", String(state.virtual_camera === true));
    const now = state.size.join("x");
    if (![...size.options].some(({ value }) => value === now)) size.append(element("option", { value: now }, state.size.join(" × ")));
    if (document.activeElement !== size) size.value = now;
    const fps = String(Math.round(state.target_fps));
    if (![...rate.options].some(({ value }) => value === fps)) rate.append(element("option", { value: fps }, t("{fps} a second", { fps })));
    if (document.activeElement !== rate) rate.value = fps;
  });
}
