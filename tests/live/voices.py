"""Voices for tests of the live session: tones and claps at known times."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from runtime.sound.contract import RATE, Take
from runtime.sound.voice import Voice

TONE = 440.0  # Hz


def tone(times: FloatArray, frequency: float = TONE) -> Float32Array:
    return (0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def claps(times: FloatArray) -> Float32Array:
    """20 ms of a tone at each whole second but 0."""
    return np.where(
        (times % 1 < 0.02) & (times > 0.5), tone(times % 1 + 0.25 / 1000, 1000.0), 0
    ).astype(np.float32)


class Playing:
    """A source that plays a signal by the system's clock."""

    exact, on, name, problem = True, True, "a signal", ""

    def __init__(self, signal: Callable[[FloatArray], Float32Array]) -> None:
        self._signal, self._ended = signal, threading.Event()

    def start(self, take: Take) -> None:
        def work() -> None:
            begin = time.monotonic()
            while not self._ended.wait(max(0.0, begin - 0.1 - time.monotonic())):
                take(self._signal(begin + np.arange(480) / RATE), begin)
                begin += 0.01

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


@contextlib.contextmanager
def voice_of(
    signal: Callable[[FloatArray], Float32Array],
    *,
    latency: float = 0.1,
    silent: Callable[[], bool] = lambda: False,
) -> Generator[Voice]:
    voice = Voice(Playing(signal), latency=lambda: latency, silent=silent)
    voice.start()
    try:
        yield voice
    finally:
        voice.close()
