"""The driver's voice for viewers: one Opus encoder for all listeners."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet

from runtime.sound.contract import BLOCK, RATE, VoiceBlock
from runtime.sound.voice import Voice

_log = logging.getLogger(__name__)
_BITS_PER_SECOND = 48_000  # full-band speech by Opus (RFC 7587, section 3.1.1: 28 to 40 kbit/s), with room for music
_WAITING_PACKETS = 10  # packets that a viewer may be behind: 0.2 s
_TIME_BASE = Fraction(1, RATE)


class SharedVoice:
    """Encodes while there are listeners; used in the event loop, except for `_hear`."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._loop = asyncio.get_running_loop()
        self._tracks: set[VoiceTrack] = set()
        self._end: Callable[[], None] | None = None
        self._encoder: AudioCodecContext | None = None  # the voice thread's

    @property
    def on(self) -> bool:
        """Whether there is anything to hear."""
        return self._voice.on

    def track(self) -> VoiceTrack:
        """A new viewer's track."""
        return VoiceTrack(self)

    def add(self, track: VoiceTrack) -> None:
        """Give a track all packets from here on."""
        self._tracks.add(track)
        if self._end is None:
            self._end = self._voice.hear(self._hear)

    def remove(self, track: VoiceTrack) -> None:
        """Give a track no more; removing again does nothing."""
        self._tracks.discard(track)
        if not self._tracks and self._end is not None:
            self._end()
            self._end = None

    def close(self) -> None:
        """End all tracks."""
        for track in list(self._tracks):
            track.stop()

    def _hear(self, block: VoiceBlock) -> None:
        """On the voice's thread."""
        if self._encoder is None:
            self._encoder = _opus()
        samples = (np.clip(block.samples, -1, 1) * 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, _TIME_BASE, block.number * BLOCK
        try:
            packets = self._encoder.encode(frame)
        except FFmpegError as error:
            _log.warning("20 ms of the voice could not be encoded: %s", error)
            return
        for packet in packets:
            # Without the encoder's delay, which is negative
            packet.pts, packet.time_base = (block.number * BLOCK, _TIME_BASE)
            try:
                self._loop.call_soon_threadsafe(self._deliver, packet)
            except RuntimeError:  # the loop is gone: the session ends
                return

    def _deliver(self, packet: Packet[Any]) -> None:
        for track in self._tracks:
            track.offer(packet)


def _opus() -> AudioCodecContext:
    encoder = CodecContext.create("libopus", "w")
    encoder.format, encoder.layout, encoder.sample_rate, encoder.time_base = (
        "s16",
        "mono",
        RATE,
        _TIME_BASE,
    )
    encoder.bit_rate = _BITS_PER_SECOND
    encoder.options = {"application": "lowdelay", "frame_duration": "20"}
    return encoder


class VoiceTrack(MediaStreamTrack):
    """An audio track of encoded packets: aiortc only puts them into RTP."""

    kind = "audio"

    def __init__(self, shared: SharedVoice) -> None:
        super().__init__()
        self._shared = shared
        self._packets: deque[Packet[Any]] = deque(maxlen=_WAITING_PACKETS)
        self._changed = asyncio.Event()
        self._listening = False

    async def recv(self) -> Packet[Any]:
        """The next packet. Raises MediaStreamError at the end."""
        if not self._listening and self.readyState == "live":
            self._listening = True
            self._shared.add(self)
        while not self._packets and self.readyState == "live":
            self._changed.clear()
            await self._changed.wait()
        if self.readyState != "live":
            raise MediaStreamError
        return self._packets.popleft()

    def offer(self, packet: Packet[Any]) -> None:
        """Queue a packet; drops the oldest where the viewer is behind."""
        self._packets.append(packet)
        self._changed.set()

    def stop(self) -> None:
        """Take no more packets."""
        super().stop()
        self._shared.remove(self)
        self._changed.set()
