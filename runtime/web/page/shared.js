/** A shared avatar's scenes and motion: over data channels, which do not wait for lost packets, or else over a WebSocket. */

import { ApiError } from "./api.js";
import { MessageError, MotionDecoder } from "./motion.js";
import { keepTrying } from "./retry.js";
import { negotiate, untilBroken } from "./rtc.js";

const LONGEST_SILENCE = 10_000; // milliseconds; also a hidden driver's avatar is sent, and data channels take a while to open
const KEY_PAUSE = 250; // milliseconds between two requests for the key message

/**
 * @typedef {{
 *   bundle: string, camera: {width: number, height: number, fx: number, fy: number, cx: number, cy: number}, background: string,
 *   badge: string, hidden: boolean, attributes: string[], epoch: number,
 * }} Scene
 */

/**
 * Listen, and go on listening whatever happens.
 *
 * @param {import("./api.js").Api} api
 * @param {{
 *   onScene: (scene: Scene) => void, onState: (state: import("./motion.js").MotionState) => void,
 *   onStream: (stream: MediaStream) => void, onPhase: (phase: import("./retry.js").Phase) => void,
 * }} events
 * @param {{socketOnly?: boolean}} [options]
 */
export function listenToShared(api, events, { socketOnly = false } = {}) {
  let channels = !socketOnly && typeof RTCPeerConnection !== "undefined";
  /** @type {{way: "rtc" | "socket" | "", messages: number, bytes: number, lost: number}} */
  const figures = { way: "", messages: 0, bytes: 0, lost: 0 };
  const trying = keepTrying(async (signal, onLive) => {
    if (channels) {
      let lived = false;
      try {
        return await overChannels(api, events, figures, signal, () => { lived = true; onLive(); });
      } catch (error) {
        const refused = error instanceof ApiError && error.status !== 503 && error.status !== 400;
        if (lived || signal.aborted || refused) throw error;
        channels = false; // no room, or no way between the two machines
      }
    }
    return overSocket(api, events, figures, signal, onLive);
  }, events.onPhase);
  return { ...trying, figures };
}

/** @typedef {Parameters<typeof listenToShared>[1]} Events */
/** @typedef {{way: "rtc" | "socket" | "", messages: number, bytes: number, lost: number}} Figures */

/**
 * Takes what comes, and asks for the key message where it is missing.
 *
 * @param {Events} events @param {Figures} figures @param {(text: string) => void} ask
 */
function receiver(events, figures, ask) {
  const decoder = new MotionDecoder();
  let asked = 0;
  return {
    heard: performance.now(),
    /** @param {string | ArrayBuffer} data */
    take(data) {
      this.heard = performance.now();
      if (typeof data === "string") {
        events.onScene(JSON.parse(data));
        return;
      }
      figures.messages += 1;
      figures.bytes += data.byteLength;
      try {
        const state = decoder.decode(new Uint8Array(data));
        if (state !== null) {
          events.onState(state);
          return;
        }
      } catch (error) {
        if (!(error instanceof MessageError)) throw error;
      }
      figures.lost += 1;
      if (this.heard - asked > KEY_PAUSE) {
        asked = this.heard;
        ask("key");
      }
    },
  };
}

/** @param {import("./api.js").Api} api @param {Events} events @param {Figures} figures @param {AbortSignal} signal @param {() => void} onLive @returns {Promise<never>} */
async function overChannels(api, events, figures, signal, onLive) {
  const peer = new RTCPeerConnection({ iceServers: [] });
  let resource = "";
  const end = () => void api.end(resource);
  window.addEventListener("pagehide", end);
  try {
    const stream = new MediaStream();
    peer.addEventListener("track", ({ track }) => {
      stream.addTrack(track);
      events.onStream(stream);
    });
    const motion = peer.createDataChannel("motion", { ordered: false, maxRetransmits: 0 });
    const scene = peer.createDataChannel("scene");
    motion.binaryType = "arraybuffer";
    const inlet = receiver(events, figures, (text) => scene.readyState === "open" && scene.send(text));
    for (const channel of [motion, scene]) channel.addEventListener("message", ({ data }) => inlet.take(data));
    peer.addTransceiver("audio", { direction: "recvonly" }); // declined where the session has no voice
    resource = await negotiate(peer, api, "/shared/rtc");
    figures.way = "rtc";
    return await Promise.race([untilBroken(peer, signal, onLive), untilSilent(inlet, signal), closed(scene)]);
  } finally {
    window.removeEventListener("pagehide", end);
    void api.end(resource).then(() => peer.close());
  }
}

/** @param {import("./api.js").Api} api @param {Events} events @param {Figures} figures @param {AbortSignal} signal @param {() => void} onLive @returns {Promise<never>} */
async function overSocket(api, events, figures, signal, onLive) {
  const { address } = await api.call("POST", "/shared/ticket");
  const url = new URL(address, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const inlet = receiver(events, figures, (text) => socket.readyState === WebSocket.OPEN && socket.send(text));
  socket.addEventListener("message", ({ data }) => inlet.take(data));
  socket.addEventListener("open", () => {
    figures.way = "socket";
    onLive();
  });
  try {
    return await Promise.race([closed(socket), untilSilent(inlet, signal)]);
  } finally {
    socket.close();
  }
}

/** @param {WebSocket | RTCDataChannel} connection @returns {Promise<never>} */
function closed(connection) {
  return new Promise((_, reject) => {
    connection.addEventListener("close", () => reject(new Error("perse-live ended the connection")));
  });
}

/** @param {{heard: number}} inlet @param {AbortSignal} signal @returns {Promise<never>} */
function untilSilent(inlet, signal) {
  inlet.heard = performance.now();
  return new Promise((_, reject) => {
    const timer = setInterval(() => {
      if (!signal.aborted && performance.now() - inlet.heard < LONGEST_SILENCE) return;
      clearInterval(timer);
      reject(new Error("perse-live went silent"));
    }, 1000);
  });
}
