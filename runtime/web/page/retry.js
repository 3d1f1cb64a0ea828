/** Keeping a connection up: tried again with growing pauses for as long as the page is open. */

import { ApiError } from "./api.js";

/**
 * @typedef {{name: "connecting", failures: number}
 *   | {name: "live", failures: number}
 *   | {name: "waiting", failures: number, status: number | null, reason: string}
 *   | {name: "refused", failures: number, status: number, reason: string}} Phase
 * `failures`: in a row; `status`: what HTTP said, 0 for nothing at all, null where the connection itself failed;
 * `refused`: it makes no sense to try again by itself
 */

const FIRST_PAUSE = 500; // milliseconds
const LONGEST_PAUSE = 2000; // a machine that slept, or a session that was started again, is seen again within three seconds

/**
 * How long to wait before the next try; with chance in it, so that viewers do not all come at once.
 *
 * @param {number} failures at least 1 @returns {number} milliseconds
 */
export function pauseAfter(failures) {
  const pause = Math.min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE);
  return pause * (0.85 + 0.3 * Math.random());
}

/**
 * Run a connection again and again.
 *
 * @param {(signal: AbortSignal, onLive: () => void) => Promise<never>} connect lives as long as its connection and then throws
 *   why it ended; calls `onLive` once it stands; ends at once on `signal`
 * @param {(phase: Phase) => void} onPhase
 */
export function keepTrying(connect, onPhase) {
  const stopping = new AbortController();
  let wake = () => {};

  /** @param {number} milliseconds or, without an end, until somebody wakes it */
  const sleep = (milliseconds) =>
    new Promise((resolve) => {
      const timer = Number.isFinite(milliseconds) ? setTimeout(resolve, milliseconds) : 0;
      wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });

  async function run() {
    let failures = 0;
    while (!stopping.signal.aborted) {
      onPhase({ name: "connecting", failures });
      try {
        await connect(stopping.signal, () => {
          failures = 0;
          onPhase({ name: "live", failures });
        });
      } catch (error) {
        if (stopping.signal.aborted) return;
        failures += 1;
        const status = error instanceof ApiError ? error.status : null;
        const reason = error instanceof Error ? error.message : String(error);
        if (status !== null && status >= 400 && status < 500 && status !== 408 && status !== 429) {
          onPhase({ name: "refused", failures, status, reason });
          await sleep(Infinity);
        } else {
          const pause = pauseAfter(failures);
          onPhase({ name: "waiting", failures, status, reason });
          await sleep(pause);
        }
      }
    }
  }

  const now = () => wake();
  window.addEventListener("online", now);
  void run();
  return {
    /** Try now instead of waiting. */
    now,
    /** End the connection for good. */
    stop: () => {
      window.removeEventListener("online", now);
      stopping.abort();
      wake();
    },
  };
}
