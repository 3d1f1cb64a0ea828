/** Time that runs on between the server's words for it. */

import { asTime, setText } from "./dom.js";

/**
 * A number of seconds that the server tells now and then, running on in between.
 *
 * @param {HTMLElement} where
 */
export function createStopwatch(where) {
  let told = -1;
  let toldAt = 0;
  let timer = 0;
  const show = () => setText(where, asTime(told + (performance.now() - toldAt) / 1000));
  return {
    /** @param {number | null} seconds null stops it */
    set: (seconds) => {
      if (seconds === null) {
        clearInterval(timer);
        timer = 0;
        told = -1;
        return;
      }
      if (seconds !== told) [told, toldAt] = [seconds, performance.now()];
      show();
      timer ||= setInterval(show, 250);
    },
  };
}
