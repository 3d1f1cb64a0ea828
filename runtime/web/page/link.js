/** Actions out, state and figures in: over the data channel while it is open, else over HTTP. */

/**
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./api.js").Action} Action
 * @typedef {import("./store.js").Store} Store
 */

const POLL_MS = 1000;
const ALIVE_MS = 1500;

/**
 * @param {Api} api @param {Store} store kept up to date from now on
 * @param {(message: string) => void} onError told of actions that could not be done
 */
export function createLink(api, store, onError) {
  /** @type {RTCDataChannel | null} */
  let channel = null;
  let heard = -Infinity;
  const isOpen = () => channel?.readyState === "open";

  async function poll() {
    if (isOpen()) return;
    try {
      store.set({ state: await api.state(), stats: await api.stats() });
    } catch {
      // Whoever keeps the video connected says that the server is away.
    }
  }
  setInterval(() => void poll(), POLL_MS);
  void poll();

  return {
    /** @param {RTCDataChannel} next the connection's `control` channel */
    attach: (next) => {
      channel = next;
      next.addEventListener("message", (event) => {
        heard = performance.now();
        const message = parsed(event.data);
        if (message.state) store.set({ state: message.state });
        if (message.stats) store.set({ stats: message.stats });
        if (message.error) onError(String(message.error));
      });
    },

    /** @returns {boolean} whether the server was heard a moment ago: it speaks twice a second */
    isAlive: () => performance.now() - heard < ALIVE_MS,

    /** @param {Action} action */
    send: (action) => {
      if (isOpen()) {
        channel?.send(JSON.stringify(action));
        return;
      }
      api.act(action).then((state) => store.set({ state }), (error) => onError(error.message));
    },
  };
}

/** @typedef {(action: Action) => void} Send */

/** @param {unknown} text @returns {Record<string, any>} */
function parsed(text) {
  try {
    return JSON.parse(String(text)) ?? {};
  } catch {
    return {};
  }
}
