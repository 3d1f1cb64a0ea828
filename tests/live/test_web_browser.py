"""Chromium watches, and sends its camera, with nothing but what the standard gives a page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from typing import Any

import aioice.ice
import pytest
from web_session import PATIENCE, serving

from runtime.web.codec import CodecName
from runtime.web.server import WebConfig

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]

# Without the flag, Chromium would publish names for its addresses by multicast on whatever network this machine is in
FLAGS = [
    "--no-sandbox",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
if not aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True):
    # Without any network, Chromium has no address to connect from by itself
    FLAGS.append("--allow-loopback-in-peer-connection")

WATCH = """async () => {
  const peer = window.peer = new RTCPeerConnection();
  peer.addTransceiver("video", {direction: "recvonly"});
  window.heard = [];
  const channel = window.channel = peer.createDataChannel("control");
  channel.onmessage = event => heard.push(event.data);
  peer.ontrack = ({track}) => {
    window.video = document.createElement("video");
    video.muted = true;
    video.srcObject = new MediaStream([track]);
    video.play();
  };
  await peer.setLocalDescription();
  const headers = {"Content-Type": "application/sdp"};
  const reply = await fetch("/whep", {method: "POST", body: peer.localDescription.sdp, headers});
  window.place = reply.headers.get("Location");
  await peer.setRemoteDescription({type: "answer", sdp: await reply.text()});
  return reply.status;
}"""
LOOK = """async () => {
  const figures = [...(await peer.getStats()).values()].find(each => each.type === "inbound-rtp");
  const canvas = new OffscreenCanvas(256, 192).getContext("2d");
  if (window.video && video.videoWidth) canvas.drawImage(video, 0, 0);
  const at = (x, y) => [...canvas.getImageData(x, y, 1, 1).data].slice(0, 3);
  return {decoded: figures?.framesDecoded ?? 0, width: window.video?.videoWidth ?? 0, red: at(60, 60), grey: at(200, 150), heard};
}"""
PUBLISH = """async () => {
  const camera = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}});
  const peer = window.peer = new RTCPeerConnection();
  peer.addTransceiver(camera.getVideoTracks()[0], {direction: "sendonly"});
  await peer.setLocalDescription();
  const headers = {"Content-Type": "application/sdp"};
  const reply = await fetch("/whip", {method: "POST", body: peer.localDescription.sdp, headers});
  await peer.setRemoteDescription({type: "answer", sdp: await reply.text()});
  return reply.status;
}"""

ALLOWED = """async () => {
  const pairs = [...(await peer.getStats()).values()].filter(each => each.type === "candidate-pair");
  return Math.max(0, ...pairs.map(each => each.availableOutgoingBitrate ?? 0));
}"""


@pytest.fixture(scope="module")
def browser() -> Generator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield chromium
        chromium.close()


def look_until(page: Any, decoded: int) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = page.evaluate(LOOK)
        if seen["decoded"] >= decoded:
            return seen
        assert time.monotonic() < deadline, f"Chromium decoded {seen['decoded']} frames"
        time.sleep(0.1)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_chromium_watches(browser: Any, codec: CodecName) -> None:
    with serving(WebConfig(port=0, codec=codec)) as served:
        page = browser.new_page()
        page.goto(f"{served.url}api/state")
        known = page.evaluate(
            "RTCRtpReceiver.getCapabilities('video').codecs.map(codec => codec.mimeType.toLowerCase())"
        )
        if f"video/{codec}" not in known:
            pytest.skip(f"this Chromium does not know {codec}")
        assert page.evaluate(WATCH) == 201
        look_until(page, 30)
        assert "rtp-hdrext/playout-delay" in page.evaluate("peer.remoteDescription.sdp")
        served.session.size = (512, 192)
        seen = look_until(page, page.evaluate(LOOK)["decoded"] + 15)
        assert seen["width"] == 512
        served.session.size = (256, 192)
        seen = look_until(page, page.evaluate(LOOK)["decoded"] + 15)
        assert seen["width"] == 256
        for colour, painted in (("red", (200, 40, 40)), ("grey", (128, 128, 128))):
            assert max(abs(a - b) for a, b in zip(seen[colour], painted, strict=True)) <= 6
        assert any("state" in text for text in seen["heard"]) and any(
            "stats" in text for text in seen["heard"]
        )
        page.evaluate('channel.send(\'{"action": "hide"}\')')
        deadline = time.monotonic() + PATIENCE
        while not served.session.acts:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert served.server.viewers == 1
        assert page.evaluate("fetch(place, {method: 'DELETE'}).then(reply => reply.status)") == 200
        assert served.server.viewers == 0
        page.close()


def test_chromium_lends_its_camera(browser: Any) -> None:
    with serving(with_camera=True) as served:
        context = browser.new_context(permissions=["camera"])
        page = context.new_page()
        page.goto(f"{served.url}api/state")
        assert page.evaluate(PUBLISH) == 201
        deadline = time.monotonic() + PATIENCE
        widths: list[int] = []
        while len(widths) < 30:
            assert time.monotonic() < deadline, f"{len(widths)} pictures came"
            frame = served.camera.read(0.2)
            if frame is not None:
                widths.append(frame.image.shape[1])
                assert frame.image.std() > 10  # something is on it
        assert widths[-1] <= 640
        while (allowed := page.evaluate(ALLOWED)) < 3e6:  # not what aiortc makes of a busy machine
            assert time.monotonic() < deadline, f"Chromium believes in {allowed} bits a second"
            time.sleep(0.1)
        context.close()
