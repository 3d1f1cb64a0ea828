/** Watching the avatar. */

import { keepTrying } from "./retry.js";
import { negotiate, untilBroken } from "./rtc.js";

const LONGEST_SILENCE = 4000; // milliseconds; figures come twice a second, so this is not a pause but a server that has gone

/**
 * Watch, and go on watching whatever happens.
 *
 * @param {import("./api.js").Api} api
 * @param {{
 *   onStream: (stream: MediaStream) => void,
 *   onChannel: (channel: RTCDataChannel) => void,
 *   onPhase: (phase: import("./retry.js").Phase) => void,
 * }} events every new connection brings a new stream and a new channel
 */
export function watch(api, events) {
  return keepTrying(async (signal, onLive) => {
    if (typeof RTCPeerConnection === "undefined") throw new Error("this browser has no WebRTC, or it is switched off");
    const peer = new RTCPeerConnection({ iceServers: [] });
    let resource = "";
    let lived = false;
    const begin = () => {
      lived = true;
      onLive();
    };
    const end = () => void api.end(resource);
    window.addEventListener("pagehide", end);
    try {
      const stream = new MediaStream();
      peer.addEventListener("track", ({ track }) => {
        stream.addTrack(track);
        const receivers = peer.getReceivers().filter((one) => "jitterBufferTarget" in one);
        const heard = stream.getAudioTracks().length > 0; // then pictures wait for their sound, else each is shown at once
        for (const receiver of receivers) receiver.jitterBufferTarget = heard ? null : 0;
        events.onStream(stream); // once for the picture, and again when there is sound
      });
      const channel = peer.createDataChannel("control");
      peer.addTransceiver("video", { direction: "recvonly" });
      peer.addTransceiver("audio", { direction: "recvonly" }); // declined where the session has no voice
      resource = await negotiate(peer, api, "/whep");
      events.onChannel(channel);
      return await Promise.race([untilBroken(peer, signal, begin), untilSilent(channel, signal)]);
    } finally {
      window.removeEventListener("pagehide", end);
      // Where it broke, the other side has ended it or is out of reach: nothing to tell it then.
      const told = !lived || signal.aborted ? api.end(resource) : Promise.resolve();
      void told.then(() => peer.close());
    }
  }, events.onPhase);
}

/**
 * ICE takes up to half a minute to notice that the other side has gone; the channel's silence tells sooner.
 *
 * @param {RTCDataChannel} channel @param {AbortSignal} signal @returns {Promise<never>}
 */
function untilSilent(channel, signal) {
  return new Promise((_, reject) => {
    let heard = 0;
    channel.addEventListener("message", () => {
      heard = performance.now();
    });
    channel.addEventListener("close", () => reject(new Error("perse-live ended the connection")));
    const timer = setInterval(() => {
      if (signal.aborted) clearInterval(timer);
      if (heard && performance.now() - heard > LONGEST_SILENCE) {
        clearInterval(timer);
        reject(new Error("perse-live went silent"));
      }
    }, 1000);
    channel.addEventListener("close", () => clearInterval(timer));
  });
}
