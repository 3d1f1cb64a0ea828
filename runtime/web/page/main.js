/** The live page: puts the parts together. */

import { describeAction, parseAction } from "./actions.js";
import { createApi } from "./api.js";
import { mountAppearance } from "./appearance.js";
import { mountAttributes } from "./attributes.js";
import { mountAvatars } from "./avatars.js";
import { mountBackgrounds } from "./backgrounds.js";
import { mountBadge } from "./badge.js";
import { mountCalibration } from "./calibration.js";
import { mountDock } from "./dock.js";
import { byId } from "./dom.js";
import { mountFigures } from "./figures.js";
import { mountGains } from "./gains.js";
import { mountKeys } from "./keys.js";
import { mountKeySheet } from "./keysheet.js";
import { translatePage } from "./language.js";
import { createLink } from "./link.js";
import { showPicture } from "./picture.js";
import { mountMicrophone } from "./microphone.js";
import { mountRecordings } from "./recordings.js";
import { mountSource } from "./source.js";
import { mountOutputs, mountStage } from "./stage.js";
import { createStore } from "./store.js";
import { mountLanguage, mountStudio } from "./studio/app.js";
import { mountOwnBackgrounds } from "./studio/backgrounds.js";
import { mountSourceChoice } from "./studio/source.js";
import { createToasts, mountNotices } from "./toasts.js";
import { mountVoice } from "./voice.js";
import { watch } from "./whep.js";
import { mountWindows } from "./windows.js";

const part = (/** @type {string} */ id) => byId(id, HTMLElement);
const button = (/** @type {string} */ id) => byId(id, HTMLButtonElement);
const dialog = (/** @type {string} */ id) => byId(id, HTMLDialogElement);

translatePage();
const tokenOf = () => new URLSearchParams(location.hash.slice(1)).get("token");
const token = tokenOf();
window.addEventListener("hashchange", () => {
  if (tokenOf() !== token) location.reload(); // a link with another token was opened in this window
});
const api = createApi(location.href);
const store = createStore();
const say = createToasts(part("toasts"));
const { send, attach, isAlive } = createLink(api, store, (message) => say(message, "error"));

const frame = part("frame");
const video = byId("video", HTMLVideoElement);
const canvas = byId("matte", HTMLCanvasElement);
showPicture(video, canvas, () => store.get().state?.size ?? null, ({ width, height, matte }) => {
  frame.style.setProperty("--ratio", String(width / height));
  const { connection, playing, matte: before } = store.get();
  if (connection.name === "live" && (!playing || matte !== before)) store.set({ playing: true, matte });
});
/** @type {ReturnType<typeof watch> | null} */
let viewer = null;

/** Begin to watch, where that has not begun: a page that opens on another view need not. */
function watchNow() {
  viewer ??= watch(api, {
    onStream: (stream) => {
      if (video.srcObject !== stream) video.srcObject = stream;
      void video.play().catch(() => {}); // muted video may always play; `autoplay` tries again
    },
    onChannel: attach,
    onPhase: (connection) => store.set(connection.name === "live" ? { connection } : { connection, playing: false }),
  });
}
const view = new URLSearchParams(location.hash.slice(1)).get("view");
if (view === null || view === "stage") watchNow();

mountAppearance(button("theme"));
mountStage({
  frame,
  cover: part("cover"), title: part("cover-title"), text: part("cover-text"), retry: button("cover-retry"),
  status: part("status"), statusText: part("status-text"),
  recordTag: part("tag-record"), recordTime: part("record-time"), mirrorTag: part("tag-mirror"),
  hiddenBanner: part("hidden-banner"), show: button("hidden-show"),
  problem: part("problem-banner"), problemText: part("problem-text"),
  controls: [part("dock"), part("panel-look"), part("panel-more")],
}, store, send, () => viewer?.now());
mountRecordings({
  section: part("recorded-group"), name: part("recorded-name"), link: byId("recorded-save", HTMLAnchorElement),
}, api, store, (message) => say(message, "error"));
mountOutputs({ section: part("outputs-group"), list: part("outputs") }, store);
mountDock({
  calibrate: button("calibrate"), mirror: button("mirror"), hide: button("hide"), record: button("record"),
}, store, send);
mountVoice({ video, mute: button("mute"), listen: button("listen") }, store, send);
mountCalibration({
  countdown: part("countdown"), number: part("countdown-number"),
  learning: part("learning"), learningText: part("learning-text"), announcer: part("announcer"),
}, store, say);
mountAvatars({ section: part("avatars-group"), list: part("avatars") }, store, send);
const findAttribute = mountAttributes({
  list: part("attributes"), clear: button("attributes-clear"), empty: part("attributes-empty"),
  find: byId("attributes-find", HTMLInputElement), none: part("attributes-none"),
}, store, send);
mountBackgrounds(part("backgrounds"), store, send);
mountGains({ list: part("gains"), reset: button("gains-reset") }, store, send);
mountBadge({
  corners: part("badge-corners"), off: button("badge-off"), note: part("badge-note"),
  dialog: dialog("badge-dialog"), form: byId("badge-form", HTMLFormElement),
  reason: byId("badge-reason", HTMLInputElement), cancel: button("badge-cancel"),
}, store, send);
const camera = mountSource({
  name: part("source-name"), kind: part("source-kind"), problem: part("source-problem"),
  face: part("face"), faceText: part("face-text"),
  chooser: part("chooser"), choice: byId("camera-choice", HTMLSelectElement), toggle: button("camera-toggle"),
  dock: button("camera-dock"), invite: part("invite"), inviteButton: button("invite-button"), inviteText: part("invite-text"),
  dialog: dialog("permission"), proceed: button("permission-proceed"), cancel: button("permission-cancel"),
  whose: part("permission-whose"),
}, api, store, isAlive);
mountMicrophone(button("microphone"), camera.speak, store, say);
mountNotices(store, say);

const flipFullscreen = mountWindows({ frame, video, pip: button("pip"), fullscreen: button("fullscreen") }, store, say);
const flipFigures = mountFigures({
  panel: part("figures"), toggle: button("figures-toggle"),
  fps: part("figure-fps"), latency: part("figure-latency"),
  viewers: part("figure-viewers"), viewersName: part("figure-viewers-name"),
  slow: part("figure-slow"), bars: part("figure-bars"), skipped: part("figure-skipped"), governor: part("figure-governor"),
}, store);
const flipKeys = mountKeySheet({
  dialog: dialog("keys"), list: part("keys-list"), open: button("keys-open"), close: button("keys-close"),
}, store);

mountKeys(store, (text) => {
  const { state } = store.get();
  const action = parseAction(text);
  if (action && state && describeAction(text, state)) send(action); // keys of attributes that this avatar lacks do nothing
}, { "?": flipKeys, f: flipFullscreen, i: flipFigures, "/": findAttribute }, () => part("live").hidden);

mountLanguage(part("tools"));
let hasStudio = false;
store.subscribe(({ state }) => {
  if (!state?.studio || hasStudio) return;
  hasStudio = true;
  const shell = mountStudio(api, store, send, say, {
    live: part("live"), studio: part("studio"), nav: part("views"), jobs: part("jobs"), dock: part("dock"), presets: part("presets"),
    output: part("output"), moreLooks: part("more-looks"), toasts: part("toasts"),
    stageToasts: /** @type {HTMLElement} */ (part("toasts").parentElement),
  }, watchNow);
  mountSourceChoice(shell, store, part("motion-source"), camera.stop);
  mountOwnBackgrounds(part("background-tools"), part("backgrounds"), shell.studio, store, send, say);
});
