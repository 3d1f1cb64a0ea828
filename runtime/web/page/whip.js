/** Publishing the browser's camera, for the tracker's eyes only, and its microphone, once there is one to publish. */

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
  /** @type {MediaStreamTrack | null} */
  let voice = null;
  /** @type {RTCRtpSender | null} */
  let voiceSender = null;
  const publication = keepTrying(async (signal, onLive) => {
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
      voiceSender = peer.addTransceiver("audio", { direction: "sendonly" }).sender; // without a track it sends nothing
      void voiceSender.replaceTrack(voice);
      resource = await negotiate(peer, api, "/whip?sound=on");
      await preferMotion(sender);
      return await untilBroken(peer, signal, begin);
    } finally {
      window.removeEventListener("pagehide", end);
      // Where it broke, the other side has ended it or is out of reach: nothing to tell it then.
      const told = !lived || signal.aborted ? api.end(resource) : Promise.resolve();
      void told.then(() => peer.close());
    }
  }, onPhase);
  return {
    ...publication,
    /** @param {MediaStreamTrack | null} next what is heard from here on; needs no new connection */
    speak: (next) => {
      voice = next;
      void voiceSender?.replaceTrack(next).catch(() => {}); // a connection that has just ended: the next one takes it
    },
  };
}

/** A face that moves late is worse than one that is blurred. @param {RTCRtpSender} sender */
async function preferMotion(sender) {
  const parameters = { ...sender.getParameters(), degradationPreference: "maintain-framerate" };
  await sender.setParameters(/** @type {RTCRtpSendParameters} */ (parameters)).catch(() => {}); // not every browser knows it
}
