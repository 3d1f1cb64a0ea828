"""The sound of a recording: blocks of the voice to AAC, each at its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import OutputContainer
from av.packet import Packet

from perse_live.arrays import Float32Array
from runtime.sound.contract import BLOCK, RATE, VoiceBlock

_TIME_BASE = Fraction(1, RATE)
_BITS_PER_SECOND = 96_000  # transparent for one voice (as perse_live.film.sound)
_FRAME = 1024  # samples of an AAC frame
_MAX_WAITING = 500  # blocks: ten seconds, more than a disk hangs
# Samples that are filled in where the machine slept; beyond, the sound goes on at its time
_LONGEST_SILENCE = 60 * RATE

Listen = Callable[[Callable[[VoiceBlock], None]], Callable[[], None]]
"""As `Voice.hear`: gives blocks to a hearer until what it returns is called."""


class RecordedSound:
    """Collects blocks on the voice's thread, encodes them on the recording's."""

    def __init__(self, listen: Listen) -> None:
        self._waiting: deque[VoiceBlock] = deque(maxlen=_MAX_WAITING)
        self._stop = listen(self._waiting.append)
        self._encoder: _Aac | None = None

    def open(self, container: OutputContainer, start: float) -> None:
        """Add the stream to a file whose first picture was drawn at `start`, seconds of `time.monotonic()`."""
        self._encoder = _Aac(container, start)

    def packets(self) -> Generator[Packet[Any], None, None]:
        """What has come since the last call, encoded."""
        while self._waiting and self._encoder is not None:
            yield from self._encoder.encoded(self._waiting.popleft())

    def end(self) -> Generator[Packet[Any], None, None]:
        """The rest, once it is stopped."""
        yield from self.packets()
        if self._encoder is not None:
            yield from self._encoder.end()

    def stop(self) -> None:
        """Collect no more; stopping again does nothing."""
        stop, self._stop = self._stop, lambda: None
        stop()


class _Aac:
    def __init__(self, container: OutputContainer, start: float) -> None:
        stream = container.add_stream("aac", rate=RATE)
        stream.codec_context.layout = "mono"
        stream.codec_context.bit_rate = _BITS_PER_SECOND
        self._stream, self._start = stream, start
        self._frames = _frames_of_aac()
        self._next: int | None = None  # sample since the start

    def encoded(self, block: VoiceBlock) -> Generator[Packet[Any], None, None]:
        place = round((block.time - self._start) * RATE)
        if place < 0:
            return
        if self._next is None:
            self._next = place
        missing = place - self._next
        if missing > _LONGEST_SILENCE:
            yield from self._drained()
            self._frames, self._next = _frames_of_aac(), place
        elif missing >= BLOCK // 2:  # less is the rounding of times
            yield from self._pushed(np.zeros(missing, np.float32))
        yield from self._pushed(block.samples)

    def end(self) -> Generator[Packet[Any], None, None]:
        yield from self._drained()
        yield from self._stream.encode(None)

    def _pushed(self, samples: Float32Array) -> Generator[Packet[Any], None, None]:
        assert self._next is not None
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None]), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.time_base, frame.pts = RATE, _TIME_BASE, self._next
        self._next += len(samples)
        for one in self._frames.resample(frame):
            yield from self._stream.encode(one)

    def _drained(self) -> Generator[Packet[Any], None, None]:
        for one in self._frames.resample(None):
            yield from self._stream.encode(one)


def _frames_of_aac() -> AudioResampler:
    """Cuts a stream of samples into the encoder's frames."""
    return AudioResampler(format="fltp", layout="mono", rate=RATE, frame_size=_FRAME)
