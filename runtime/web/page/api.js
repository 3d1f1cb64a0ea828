/**
 * perse-live's HTTP API as functions; docs/live-api.md is the contract.
 *
 * @typedef {{name: string, label: string, slot: string, key: string, weight: number, target: number}} Attribute
 * @typedef {"head" | "brows" | "eyes" | "mouth"} Region
 * @typedef {{
 *   avatars: string[], avatar: number, attributes: Attribute[], background: string, backgrounds: string[],
 *   gains: Record<Region, number>, mirror: boolean, hidden: boolean, badge: {place: string, reason: string},
 *   recording: {path: string, seconds: number} | null, recorded: string | null,
 *   voice: {name: string, problem: string, muted: boolean, level: number, delay_ms: number} | null,
 *   calibration: {phase: "waiting" | "countdown" | "learning" | "done", seconds: number},
 *   face: "tracked" | "held" | "idle" | "none",
 *   source: {name: string, kind: "camera" | "file" | "browser" | "motion" | "none", problem: string},
 *   sinks: {name: string, problem: string}[], size: [number, number], target_fps: number,
 *   keys: Record<string, string>, notices: string[], studio?: boolean, virtual_camera?: boolean | null,
 * }} State
 * @typedef {{ms: number, p95_ms: number, per_second: number, dropped: number}} StageFigures
 * @typedef {{
 *   fps: number, latency_ms: number | null, slow_stage: string, viewers: number, stages: Record<string, StageFigures>,
 *   governor: {scale: number, gaussians: number, reason: string},
 * }} Stats
 * @typedef {{action: string, [field: string]: unknown}} Action
 */

/** What the server refused, or that there was none (status 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const PATIENCE = 8000; // milliseconds; the server answers within a few, or not at all

/**
 * The API of the server that a page came from. The `token` in the fragment of the page's address goes along in a header.
 *
 * @param {string} pageAddress
 */
export function createApi(pageAddress) {
  const token = new URLSearchParams(new URL(pageAddress).hash.slice(1)).get("token");
  /** @type {Record<string, string>} */
  const identity = token ? { Authorization: `Bearer ${token}` } : {};

  /** @param {string} path @param {RequestInit} [options] */
  async function request(path, options = {}) {
    const headers = { ...identity, .../** @type {Record<string, string>} */ (options.headers) };
    /** @type {Response} */
    let response;
    try {
      response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE), ...options, headers });
    } catch (error) {
      if (options.signal?.aborted && error instanceof DOMException && error.name === "AbortError") throw error;
      throw new ApiError(0, "perse-live does not answer");
    }
    if (!response.ok) throw new ApiError(response.status, await reasonOf(response));
    return response;
  }

  return {
    /**
     * A request with JSON in and out.
     *
     * @param {"GET" | "POST" | "PUT" | "DELETE"} method @param {string} path @param {unknown} [body]
     * @param {{patience?: number, signal?: AbortSignal}} [options] patience: milliseconds @returns {Promise<any>}
     */
    call: async (method, path, body, { patience = 60_000, signal } = {}) => {
      const headers = body === undefined ? {} : { "Content-Type": "application/json" };
      const until = AbortSignal.timeout(patience);
      const options = { method, headers, signal: signal ? AbortSignal.any([signal, until]) : until };
      return (await request(path, body === undefined ? options : { ...options, body: JSON.stringify(body) })).json();
    },

    /** @param {string} path @returns {Promise<ArrayBuffer>} */
    bytes: async (path) => (await request(path, { signal: AbortSignal.timeout(60_000) })).arrayBuffer(),

    /** @param {string} path @returns {Promise<Blob>} a picture */
    picture: async (path) => (await request(path, { cache: "default", signal: AbortSignal.timeout(60_000) })).blob(),

    /**
     * Send a file.
     *
     * @param {string} path @param {Blob} content @param {string} name of the file @param {AbortSignal} [signal] @returns {Promise<any>}
     */
    upload: async (path, content, name, signal) => {
      const headers = { "Content-Type": "application/octet-stream", "X-File-Name": encodeURIComponent(name) };
      return (await request(path, { method: "POST", body: content, headers, signal: signal ?? AbortSignal.timeout(600_000) })).json();
    },

    /** @param {string} path @param {Blob} frame JPEG @returns {Promise<any>} what is said of a camera picture */
    look: async (path, frame) =>
      (await request(path, { method: "POST", body: frame, headers: { "Content-Type": "image/jpeg" } })).json(),

    /** @returns {Promise<string>} where the last recording can be fetched once, within a minute, without a header */
    recordingAddress: async () => (await (await request("/recording", { method: "POST" })).json()).address,

    /** @returns {Promise<State>} */
    state: async () => (await request("/api/state")).json(),

    /** @returns {Promise<Stats>} */
    stats: async () => (await request("/api/stats")).json(),

    /** @param {Action} action @returns {Promise<State>} the state afterwards */
    act: async (action) => {
      const body = JSON.stringify(action);
      return (await request("/api/action", { method: "POST", body, headers: { "Content-Type": "application/json" } })).json();
    },

    /**
     * Offer a connection to `/whep`, `/whip` or `/shared/rtc`.
     *
     * @param {"/whep" | "/whip" | "/shared/rtc"} path @param {string} sdp
     * @returns {Promise<{answer: string, resource: string}>} what the server answers, and where the connection can be ended
     */
    offer: async (path, sdp) => {
      const response = await request(path, { method: "POST", body: sdp, headers: { "Content-Type": "application/sdp" } });
      return { answer: await response.text(), resource: response.headers.get("Location") ?? "" };
    },

    /** @param {string} resource from `offer`; ending twice, or after the server has gone, does nothing */
    end: async (resource) => {
      // keepalive lets it reach the server although the page is being closed.
      if (resource) await request(resource, { method: "DELETE", keepalive: true }).catch(() => {});
    },
  };
}

/** @typedef {ReturnType<typeof createApi>} Api */

/** @param {Response} response */
async function reasonOf(response) {
  const text = await response.text().catch(() => "");
  try {
    const { error } = JSON.parse(text);
    if (typeof error === "string") return error;
  } catch {
    // Not from perse-live itself (a proxy's page, for instance): its words would not help.
  }
  return response.statusText || `error ${response.status}`;
}
