"""Receives the camera of a browser or OBS over WebRTC (WHIP); its pictures go only to the session's picture source.

Its sound, if requested, goes to the session's voice. Sound and pictures are aligned by the sender's clock; both get the time of
the pictures' arrival, from which the latency is counted.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import cast

import numpy as np
from aiortc import RTCIceServer, RTCRtpReceiver, RTCRtpSender
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpCodecCapability
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.errors import UserError
from runtime.sound.browser import BrowserMicrophone
from runtime.sound.contract import RATE
from runtime.sources.browser import BrowserCamera
from runtime.web.aiortc_hooks import limit_decoded_pictures
from runtime.web.bandwidth import promise_bandwidth
from runtime.web.codec import VIDEO_CLOCK
from runtime.web.jitter import deliver_frames_at_once, deliver_packets_at_once
from runtime.web.offers import Offer
from runtime.web.peers import Peer
from runtime.web.sender_clock import SenderClock

_DELAYS = 60  # pictures (two seconds) over which the transmission delay is averaged


class Publisher:
    """Accepts one camera at a time: a new one replaces the old one. Used in the event loop only."""

    def __init__(
        self,
        camera: BrowserCamera,
        microphone: BrowserMicrophone | None,
        *,
        ice_servers: Sequence[RTCIceServer],
        loopback: bool,
    ) -> None:
        """microphone: takes the sound; None: the session takes none."""
        self._camera, self._microphone = camera, microphone
        self._ice_servers, self._loopback = ice_servers, loopback
        self._readers: dict[Peer, list[asyncio.Task[None]]] = {}

    async def publish(self, offer: Offer, *, with_sound: bool) -> tuple[str, str]:
        """Take a camera: its id and the SDP answer.

        with_sound: whether its sound is taken, where it has any.

        Raises UserError where the offer cannot be met, and while the session takes its motion from elsewhere; the camera before
        stays then.
        """
        if self._camera.closed:
            raise UserError(
                "the motion comes from another source just now: choose this browser's camera on the stage first"
            )
        obstacles = [offer.codec_obstacle(codec) for codec in ("VP8", "H264")]
        if all(obstacles):
            raise UserError(
                f"the SDP offer {' and '.join(obstacles)}: send VP8, or H264 with packetization-mode=1 as Baseline"
            )
        before = list(self._readers)
        peer = Peer(self._ice_servers, self._forget)
        self._readers[peer] = []
        transceiver = peer.connection.addTransceiver("video", direction="recvonly")
        limit_decoded_pictures()
        deliver_frames_at_once(transceiver.receiver)
        promise_bandwidth(transceiver.receiver)
        clock = SenderClock(transceiver.receiver, VIDEO_CLOCK)
        delays: deque[float] = deque(maxlen=_DELAYS)
        reading = [partial(_read, transceiver.receiver, self._camera, clock, delays)]
        sound = None
        if self._microphone is not None and with_sound and offer.sends_sound:
            sound = peer.connection.addTransceiver("audio", direction="recvonly")
            opus = [one for one in _sound_codecs() if one.mimeType == "audio/opus"]
            sound.setCodecPreferences(opus)
            deliver_packets_at_once(sound.receiver)
            heard = SenderClock(sound.receiver, RATE)
            reading.append(partial(_hear, sound.receiver, self._microphone, heard, delays))
        answer = await peer.answer(offer, transceiver, sound=sound, loopback=self._loopback)
        for old in before:
            old.end()
        if peer in self._readers:
            self._readers[peer] = [asyncio.create_task(one()) for one in reading]
        return peer.id, answer

    async def end(self, peer_id: str) -> bool:
        """End a camera's connection; False where there is none of that id."""
        for peer in list(self._readers):
            if peer.id == peer_id:
                await peer.end()
                return True
        return False

    async def close(self) -> None:
        """End the connection, if there is one."""
        await asyncio.gather(*(peer.end() for peer in list(self._readers)))

    def _forget(self, peer: Peer) -> None:
        for reader in self._readers.pop(peer):
            reader.cancel()


def _sound_codecs() -> list[RTCRtpCodecCapability]:
    return RTCRtpSender.getCapabilities("audio").codecs


async def _read(
    receiver: RTCRtpReceiver, camera: BrowserCamera, clock: SenderClock, delays: deque[float]
) -> None:
    """Empties aiortc's queue, which has no bound, into the camera's slot for one. Whoever takes it from there converts it.

    delays: gets, for each picture, seconds of our clock at its arrival less those of the sender's at its capture.
    """
    while True:
        try:
            frame = await receiver.track.recv()
        except MediaStreamError:
            return
        if isinstance(frame, VideoFrame):
            now = time.monotonic()
            camera.offer(partial(_rgb, frame), now)
            captured = None if frame.pts is None else clock.captured(frame.pts)
            if captured is not None:
                delays.append(now - captured)


async def _hear(
    receiver: RTCRtpReceiver,
    microphone: BrowserMicrophone,
    clock: SenderClock,
    delays: Sequence[float],
) -> None:
    """Passes sound on, told in the time in which its picture arrived."""
    while True:
        try:
            frame = await receiver.track.recv()
        except MediaStreamError:
            return
        if isinstance(frame, AudioFrame):
            samples = _mono(frame)
            captured = None if frame.pts is None else clock.captured(frame.pts)
            if captured is None or not delays:  # no report yet: it was recorded just before it came
                moment = time.monotonic() - len(samples) / RATE
            else:
                moment = captured + statistics.median(delays)
            microphone.offer(samples, moment)


def _mono(frame: AudioFrame) -> Float32Array:
    """Samples (N,) in [-1, 1] of aiortc's 16-bit stereo, interleaved."""
    channels = len(frame.layout.channels)
    samples = frame.to_ndarray().reshape(-1, channels).astype(np.float32)
    return cast("Float32Array", samples.mean(1) / 32768)


def _rgb(frame: VideoFrame) -> UInt8Array:
    """(H, W, 3) RGB."""
    return cast("UInt8Array", frame.to_ndarray(format="rgb24"))
