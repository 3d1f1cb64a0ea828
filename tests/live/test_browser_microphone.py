"""The voice from a browser: its microphone comes with its camera, once it was asked for, and in time with the pictures."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpreceiver import TimestampMapper
from aiortc.rtp import RtpPacket
from av.audio.frame import AudioFrame
from hypothesis import given
from hypothesis import strategies as st
from voices import TONE, tone
from web_session import PaintedCamera, PaintedSession, Watcher, until

from perse_live.arrays import Float32Array
from runtime.live.clock import StageClock
from runtime.sound.browser import BrowserMicrophone
from runtime.sound.contract import BLOCK, RATE
from runtime.sound.voice import Voice
from runtime.sources.browser import BrowserCamera
from runtime.web.aiortc_hooks import offer_loopback
from runtime.web.jitter import PacketJitterBuffer
from runtime.web.sender_clock import SenderClock
from runtime.web.server import WebConfig, WebServer


class _Tone(MediaStreamTrack):
    """A microphone that hears a tone."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._begin, self._number = time.monotonic(), 0

    async def recv(self) -> AudioFrame:
        first = self._number * BLOCK
        self._number += 1
        await asyncio.sleep(self._begin + self._number * BLOCK / RATE - time.monotonic())
        samples = (tone((first + np.arange(BLOCK)) / RATE) * 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
        return frame


async def _send(http: aiohttp.ClientSession, url: str) -> RTCPeerConnection:
    """Be a browser with camera and microphone."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver(PaintedCamera(), direction="sendonly")
    peer.addTransceiver(_Tone(), direction="sendonly")
    offer_loopback(peer)
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Content-Type": "application/sdp"}
    async with http.post(url, data=peer.localDescription.sdp, headers=headers) as reply:
        assert reply.status == 201
        answer = await reply.text()
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return peer


@pytest.mark.slow
def test_a_browsers_microphone_is_heard_only_where_it_was_asked_for() -> None:
    """And viewers who came before connect again, with its sound."""
    microphone, camera, session = BrowserMicrophone(), BrowserCamera(), PaintedSession()
    voice = Voice(microphone, latency=lambda: 0.05, silent=lambda: False)
    blocks: list[Float32Array] = []
    voice.hear(lambda block: blocks.append(block.samples))
    server = WebServer(
        session,
        StageClock(),
        WebConfig(port=0),
        camera=camera,
        microphone=microphone,
        voice=voice,
    )
    voice.start()

    async def body(url: str) -> None:
        early, late = Watcher(), Watcher()
        for watcher in (early, late):
            watcher.connection.addTransceiver("audio", direction="recvonly")
        async with aiohttp.ClientSession() as http:
            await early.join(http, url)
            await early.decoded(3)
            assert "a=inactive" in early.connection.remoteDescription.sdp, "no sound, no waiting"
            silent = await _send(http, f"{url}whip")
            await until(lambda: camera.read(0) is not None)
            await asyncio.sleep(0.5)
            assert not microphone.on and not voice.on and blocks == []
            await silent.close()

            speaking = await _send(http, f"{url}whip?sound=on")
            await until(lambda: microphone.on and voice.level > 0.15)
            await until(lambda: early.connection.connectionState == "closed")
            await late.join(http, url)
            await late.decoded(3)
            assert "a=inactive" not in late.connection.remoteDescription.sdp
            await speaking.close()
            await until(lambda: not microphone.on and voice.level == 0)
            count = len(blocks)
            await asyncio.sleep(0.2)
            assert len(blocks) == count and voice.level == 0, "off, it costs nothing"
        for watcher in (early, late):
            await watcher.close()

    try:
        asyncio.run(body(server.start()))
    finally:
        server.close()
        voice.close()
        session.close()
        camera.close()
    loud = np.concatenate(blocks)[-BLOCK * 100 :]
    spectrum = np.abs(np.fft.rfft(loud * np.hanning(len(loud))))
    assert abs(np.fft.rfftfreq(len(loud), 1 / RATE)[spectrum.argmax()] - TONE) < 5


# ----- the sender's clock


@dataclass
class _Receiver:
    """Of aiortc's receiver what the clock looks at."""

    _RTCRtpReceiver__timestamp_mapper: TimestampMapper = field(default_factory=TimestampMapper)

    async def _handle_rtcp_packet(self, packet: Any) -> None: ...


@given(
    start=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([48_000, 90_000]),
    hours=st.floats(0, 30),
    late=st.lists(st.floats(0, 0.5), min_size=0, max_size=3),
)
def test_a_frames_capture_is_told_through_any_hours_and_late_reports(
    start: int, rate: int, hours: float, late: list[float]
) -> None:
    receiver: Any = _Receiver()
    clock = SenderClock(receiver, rate)
    ticks, begin = 0, 3_000_000_000.0  # seconds since 1900
    mapper = receiver._RTCRtpReceiver__timestamp_mapper
    pts = mapper.map(start)
    assert clock.captured(pts) is None
    for number in range(8 + round(hours)):
        delay = late[number] if number < len(late) else 0.0
        if number >= 8:  # an hour passes
            ticks += 3600 * rate
            pts = mapper.map((start + ticks) % 2**32)
        clock.note(round((begin + ticks / rate + delay) * 2**32), (start + ticks) % 2**32)
    found = clock.captured(pts)
    assert found is not None
    assert abs(found - (begin + ticks / rate)) < 1e-3


def test_a_sender_without_a_clock_is_not_believed() -> None:
    receiver: Any = _Receiver()
    clock = SenderClock(receiver, 48_000)
    receiver._RTCRtpReceiver__timestamp_mapper.map(7)
    clock.note(0, 7)
    assert clock.captured(0) is None


# ----- packets of sound


def _packet(number: int) -> RtpPacket:
    made = RtpPacket(payload_type=96, sequence_number=(65_530 + number) % 65536)
    made.timestamp, made._data = number * BLOCK, bytes([number])  # type: ignore[attr-defined]
    return made


def _passed_on(order: list[int]) -> list[int]:
    buffer = PacketJitterBuffer(capacity=16)
    frames: list[JitterFrame | None] = [buffer.add(_packet(number))[1] for number in order]
    return [frame.data[0] for frame in frames if frame is not None]


def test_each_packet_of_sound_is_passed_on_as_it_comes() -> None:
    assert _passed_on(list(range(40))) == list(range(40))


def test_a_lost_packet_holds_the_sound_up_for_two_packets_only() -> None:
    passed = _passed_on([0, 1, 3, 4, 5, 6, 7, 8, 9])
    assert passed[:2] == [0, 1] and passed[2] == 3 and len(passed) >= 6


@given(st.permutations(range(3)), st.lists(st.integers(3, 60), unique=True).map(sorted))
def test_whatever_comes_leaves_in_order_and_once(first: list[int], rest: list[int]) -> None:
    passed = _passed_on([0, *[one + 1 for one in first], *[one + 1 for one in rest]])
    assert passed == sorted(set(passed))


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_mono_between_minus_one_and_one(channels: int) -> None:
    from runtime.web.publisher import _mono  # pyright: ignore[reportPrivateUsage]

    wave = (tone(np.arange(BLOCK) / RATE) * 32767).astype(np.int16)
    frame = AudioFrame.from_ndarray(
        np.repeat(wave, channels)[None], format="s16", layout="mono" if channels == 1 else "stereo"
    )
    np.testing.assert_allclose(_mono(frame), wave / 32768, atol=1e-4)
