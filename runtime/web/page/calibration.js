/** The countdown before the driver's face at rest is learned, large on the stage. */

import { setText } from "./dom.js";
import { t } from "./language.js";

/**
 * @param {{
 *   countdown: HTMLElement, number: HTMLElement, learning: HTMLElement, learningText: HTMLElement, announcer: HTMLElement,
 * }} places
 * @param {import("./store.js").Store} store @param {(text: string) => void} say
 */
export function mountCalibration({ countdown, number, learning, learningText, announcer }, store, say) {
  let told = -1; // seconds left, when last told
  let toldAt = 0;
  let timer = 0;
  let counted = false; // whether the user asked for it: the learning at the start needs no praise
  const show = () => setText(number, String(Math.max(1, Math.ceil(told - (performance.now() - toldAt) / 1000))));

  store.subscribe(({ state, playing, camera }) => {
    if (!state) return;
    const { phase, seconds } = state.calibration;
    const live = state.source.kind === "camera" || (state.source.kind === "browser" && camera.phase === "on");
    countdown.hidden = phase !== "countdown" || !playing;
    const pill = phase === "learning" ? "Learning your face at rest: look straight ahead, relaxed"
      : phase === "waiting" && live ? "Waiting to see your face" : "";
    setText(learningText, t(pill));
    learning.hidden = !pill || !playing || state.source.kind === "none" || state.source.kind === "motion";
    if (phase === "countdown") {
      if (seconds !== told) [told, toldAt] = [seconds, performance.now()];
      setText(announcer, t("Calibrating: look straight ahead, face relaxed.")); // what the countdown shows, for ears
      counted = true;
      show();
      timer ||= setInterval(show, 100);
    } else {
      clearInterval(timer);
      timer = 0;
      told = -1;
      setText(announcer, "");
      if (phase === "done" && counted) say(t("Your face at rest is learned."));
      if (phase === "done") counted = false;
    }
  });
}
