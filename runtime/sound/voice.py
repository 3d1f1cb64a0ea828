"""The delayed voice of a session: blocks of 20 ms, each at the moment of the picture that it belongs to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from perse_live.arrays import Float32Array
from perse_live.threads import name_this_thread
from runtime.sound.contract import BLOCK, RATE, SoundSource, VoiceBlock
from runtime.sound.delay import DelayedSound

_log = logging.getLogger(__name__)
_SECONDS = BLOCK / RATE
_ROOM = 0.01  # seconds between the coming of sound and its going on, for threads that wake late
_UNKNOWN_SECONDS = 3.0  # for which the picture's latency is waited for ...
_USUAL_LATENCY = 0.06  # ... and what is taken then, seconds: there may be no camera
_OFF = 0.05  # seconds between looks while the source is switched off
_SLEPT = 1.0  # seconds that the thread may be late before it takes up the present

Hear = Callable[[VoiceBlock], None]
"""Given each block, on the voice's thread: must not wait."""


class Voice:
    """A thread that passes on the source's sound, delayed by the picture's latency."""

    def __init__(
        self,
        source: SoundSource,
        *,
        latency: Callable[[], float | None],
        silent: Callable[[], bool],
    ) -> None:
        """source: owned by the voice from here on. latency: of the picture, seconds, None while it is not known. silent: whether
        nothing may be heard just now.
        """
        self._source, self._latency, self._silent = source, latency, silent
        self._sound = DelayedSound(exact=source.exact)
        self._hearers: list[Hear] = []
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="voice", daemon=True)
        self.level = 0.0
        """Of the voice as it goes out, root mean square of the last block."""
        self.delay = 0.0
        """Seconds by which it is late."""

    @property
    def name(self) -> str:
        """Of the source."""
        return self._source.name

    @property
    def on(self) -> bool:
        """Whether the source is switched on."""
        return self._source.on

    @property
    def problem(self) -> str:
        """Of the source."""
        return self._source.problem

    def start(self) -> None:
        """Begin; called once."""
        self._source.start(
            lambda samples, moment: self._sound.put(samples, moment, time.monotonic())
        )
        self._thread.start()

    def hear(self, hear: Hear) -> Callable[[], None]:
        """Add a listener for every block; returns the function that removes it."""
        with self._changing:
            self._hearers = [*self._hearers, hear]

        def end() -> None:
            with self._changing:
                self._hearers = [one for one in self._hearers if one is not hear]

        return end

    def close(self) -> None:
        """End the source and the thread; closing again does nothing."""
        self._ended.set()
        self._source.close()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        name_this_thread()
        began, number, loud = time.monotonic(), 0, 0.0
        while True:
            moment = began + number * _SECONDS
            late = time.monotonic() - moment
            if late > _SLEPT:
                number += int(late / _SECONDS)
                continue
            if self._ended.wait(max(0.0, -late)):
                return
            if not self._source.on:
                self.level = 0.0
                self._ended.wait(_OFF)
                continue
            # sound must have come before it can go on: where pictures are quicker than that, it is later
            latency = self._latency() or (
                None if self.delay == 0 and moment < began + _UNKNOWN_SECONDS else _USUAL_LATENCY
            )
            if latency is None:
                samples = np.zeros(BLOCK, np.float32)
            else:
                self.delay = max(latency, self._sound.lag + _SECONDS + _ROOM)
                samples = self._sound.get(BLOCK, moment, self.delay)
            aim = 0.0 if self._silent() else 1.0
            if loud != 1.0 or aim != 1.0:
                samples, loud = samples * np.linspace(loud, aim, BLOCK, dtype=np.float32), aim
            self.level = _rms(samples)
            block = VoiceBlock(samples, moment, number)
            for hear in self._hearers:
                try:
                    hear(block)
                except Exception:
                    _log.exception("the voice could not be passed on")
            number += 1


def _rms(samples: Float32Array) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))
