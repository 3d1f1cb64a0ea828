/** What watching (WHEP) and publishing (WHIP) have in common. */

const GATHERING_CAP = 1000; // milliseconds; without ICE servers all candidates are there in a few
const CONNECTING_CAP = 10000;
const DISCONNECTED_GRACE = 2500; // Wi-Fi may come back

/**
 * Offer a prepared connection in one go (no trickle) and take the answer.
 *
 * @param {RTCPeerConnection} peer @param {import("./api.js").Api} api @param {"/whep" | "/whip?sound=on" | "/shared/rtc"} path
 * @returns {Promise<string>} where the connection can be ended
 */
export async function negotiate(peer, api, path) {
  await peer.setLocalDescription();
  await gathered(peer);
  const { answer, resource } = await api.offer(path, peer.localDescription?.sdp ?? "");
  try {
    await peer.setRemoteDescription({ type: "answer", sdp: answer });
  } catch (error) {
    void api.end(resource);
    throw error;
  }
  return resource;
}

/**
 * Wait as long as a connection lives.
 *
 * @param {RTCPeerConnection} peer already negotiated @param {AbortSignal} signal @param {() => void} onLive once it is connected
 * @returns {Promise<never>} rejects when it breaks, cannot be made, or `signal` says to end
 */
export function untilBroken(peer, signal, onLive) {
  return new Promise((_, reject) => {
    let lived = false;
    let timer = setTimeout(() => reject(new Error("no way found from this browser to perse-live")), CONNECTING_CAP);
    const look = () => {
      const state = peer.connectionState;
      if (state === "connected") {
        clearTimeout(timer);
        if (!lived) onLive();
        lived = true;
      } else if (state === "disconnected") {
        timer = setTimeout(() => reject(new Error("the connection broke")), DISCONNECTED_GRACE);
      } else if (state === "failed" || state === "closed") {
        reject(new Error(lived ? "the connection broke" : "no way found from this browser to perse-live"));
      }
    };
    peer.addEventListener("connectionstatechange", look);
    signal.addEventListener("abort", () => reject(new Error("ended")));
    look();
  });
}

/** @param {RTCPeerConnection} peer */
function gathered(peer) {
  return new Promise((resolve) => {
    const done = () => peer.iceGatheringState === "complete" && resolve(undefined);
    peer.addEventListener("icegatheringstatechange", done);
    setTimeout(resolve, GATHERING_CAP);
    done();
  });
}
