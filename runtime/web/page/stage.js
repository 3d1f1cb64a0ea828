/** The stage: the avatar's frame, what lies over it, and the word for how it goes. */

import { capitalised, element, setText } from "./dom.js";
import { t } from "./language.js";
import { problemOf } from "./source.js";
import { createStopwatch } from "./stopwatch.js";

/**
 * @typedef {import("./store.js").Knowledge} Knowledge
 * @typedef {{title: string, text: string, retry: boolean, broken: boolean}} Words
 */

const FIRST_PICTURE_MS = 6000;

/**
 * @param {{
 *   frame: HTMLElement, cover: HTMLElement, title: HTMLElement, text: HTMLElement, retry: HTMLButtonElement,
 *   status: HTMLElement, statusText: HTMLElement, recordTag: HTMLElement, recordTime: HTMLElement, mirrorTag: HTMLElement,
 *   hiddenBanner: HTMLElement, show: HTMLButtonElement, problem: HTMLElement, problemText: HTMLElement, controls: HTMLElement[],
 * }} places
 * @param {import("./store.js").Store} store @param {import("./link.js").Send} send @param {() => void} retry
 */
export function mountStage(places, store, send, retry) {
  const stopwatch = createStopwatch(places.recordTime);
  let liveSince = 0;
  /** @type {Words | null} */
  let shown = null;
  places.retry.addEventListener("click", retry);
  places.show.addEventListener("click", () => send({ action: "hide", on: false }));
  setInterval(() => showCover(store.get()), 1000); // the words change as the wait grows longer
  store.subscribe((known) => {
    const { state, connection, playing, matte } = known;
    if (connection.name !== "live") liveSince = 0;
    else liveSince ||= performance.now();
    showCover(known);
    if (connection.name !== "connecting") { // while it is tried again, nothing is known yet
      const gone = connection.name === "refused" || (connection.name === "waiting" && connection.status === 0);
      for (const control of places.controls) control.inert = gone;
    }
    places.frame.classList.toggle("matte", matte && playing);
    if (!state) return;
    places.frame.classList.toggle("mirrored", state.mirror);
    places.frame.classList.toggle("is-hidden", state.hidden);
    places.frame.classList.toggle("badge-below", state.badge.place.startsWith("bottom"));
    places.mirrorTag.hidden = !state.mirror || !playing;
    places.hiddenBanner.hidden = !state.hidden;
    const problem = problemOf(known);
    places.problem.hidden = !problem || !playing;
    setText(places.problemText, sentence(problem));
    places.recordTag.hidden = state.recording === null;
    stopwatch.set(state.recording?.seconds ?? null);
  });

  /** @param {Knowledge} known */
  function showCover(known) {
    const isRetrying = known.connection.name === "connecting" && known.connection.failures > 0;
    const words = isRetrying && shown ? shown : coverWords(known, liveSince ? performance.now() - liveSince : 0);
    shown = words; // one that tries again keeps the word for why: it would flicker otherwise
    places.cover.hidden = words === null;
    places.cover.classList.toggle("broken", words?.broken ?? false);
    if (words) {
      setText(places.title, t(words.title));
      setText(places.text, t(words.text));
      places.retry.hidden = !words.retry;
    }
    const [tone, text] = statusWords(known, words);
    places.status.dataset.tone = tone;
    setText(places.statusText, t(text));
  }
}

/**
 * @param {Knowledge} known @param {number} liveMs how long the connection has stood
 * @returns {Words | null} null while there is a picture to look at
 */
function coverWords({ connection, playing }, liveMs) {
  const { name, failures } = connection;
  if (name === "live" && playing) return null;
  if (name === "refused") return broken(...refusal(connection.status, connection.reason));
  if (name === "waiting") return broken(...breakage(connection.status, connection.reason, failures));
  if (liveMs > FIRST_PICTURE_MS) {
    return broken("No picture yet", "The connection is established, but no video arrives. perse-live’s terminal may say why.");
  }
  return { title: failures ? "Connecting again" : "Connecting to your avatar", text: "", retry: false, broken: false };
}

/** @param {string} title @param {string} text @returns {Words} */
const broken = (title, text) => ({ title, text, retry: true, broken: true });

/** @param {number | null} status @param {string} reason @param {number} failures @returns {[string, string]} title and text */
function breakage(status, reason, failures) {
  if (status === 0) {
    return ["perse-live does not answer", "Is it still running? This page connects by itself as soon as it is back."];
  }
  if (status !== null) return ["perse-live cannot show the avatar now", sentence(reason)];
  return ["The connection broke", failures > 2 ? "It is tried again by itself. A firewall or VPN may stand between." : "It is tried again by itself."];
}

/** @param {number} status @param {string} reason @returns {[string, string]} title and text */
function refusal(status, reason) {
  if (status === 401) {
    return ["This page needs its complete link", "Open the link that perse-live printed in its terminal: it ends in “#token=…”."];
  }
  return ["perse-live cannot show the avatar", sentence(reason)];
}

/**
 * The status at the top.
 *
 * @param {Knowledge} known @param {Words | null} cover @returns {[string, string]} tone and text
 */
function statusWords({ connection, playing, state }, cover) {
  if (connection.name === "live" && playing) {
    if (state?.hidden) return ["warn", "Hidden"];
    return state?.recording ? ["record", "Live, recording"] : ["live", "Live"];
  }
  if (connection.name === "refused") return ["bad", "Not connected"];
  if (connection.name === "live" && cover?.broken) return ["bad", "No picture"];
  return connection.failures ? ["wait", "Connecting again"] : ["wait", "Connecting"];
}

/** @param {string} text */
const sentence = (text) => (text ? `${capitalised(text)}${/[.!?]$/.test(text) ? "" : "."}` : "");

/**
 * The other places that the avatar goes to.
 *
 * @param {{section: HTMLElement, list: HTMLElement}} places @param {import("./store.js").Store} store
 */
export function mountOutputs({ section, list }, store) {
  let built = "";
  store.subscribe(({ state }) => {
    if (!state) return;
    const shape = JSON.stringify(state.sinks);
    if (shape === built) return;
    built = shape;
    section.hidden = state.sinks.length === 0;
    list.replaceChildren(...state.sinks.map(({ name, problem }) =>
      element("li", { class: problem ? "failed" : "" }, element("span", { class: "dot" }),
        element("span", {}, capitalised(name), ...(problem ? [element("small", {}, sentence(problem))] : [])))));
  });
}
