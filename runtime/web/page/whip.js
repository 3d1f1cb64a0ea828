/** Publishing the browser's camera, for the tracker's eyes only. */

import { keepTrying } from "./retry.js";
import { negotiate, untilBroken } from "./rtc.js";

const MAX_BITRATE = 1_500_000; // the tracker looks at 640x480; more would only cost time

/**
 * Publish a camera, and go on publishing until stopped.
 *
 * @param {import("./api.js").Api} api @param {MediaStreamTrack} track
 * @param {(phase: import("./retry.js").Phase) => void} onPhase
 */
export function publish(api, track, onPhase) {
  return keepTrying(async (signal, onLive) => {
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
      const { sender } = peer.addTransceiver(track, {
        direction: "sendonly",
        sendEncodings: [{ maxBitrate: MAX_BITRATE, maxFramerate: 30 }],
      });
      resource = await negotiate(peer, api, "/whip");
      await preferMotion(sender);
      return await untilBroken(peer, signal, begin);
    } finally {
      window.removeEventListener("pagehide", end);
      // Where it broke, the other side has ended it or is out of reach: nothing to tell it then.
      const told = !lived || signal.aborted ? api.end(resource) : Promise.resolve();
      void told.then(() => peer.close());
    }
  }, onPhase);
}

/** A face that moves late is worse than one that is blurred. @param {RTCRtpSender} sender */
async function preferMotion(sender) {
  const parameters = { ...sender.getParameters(), degradationPreference: "maintain-framerate" };
  await sender.setParameters(/** @type {RTCRtpSendParameters} */ (parameters)).catch(() => {}); // not every browser knows it
}
