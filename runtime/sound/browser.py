"""The microphone of a browser that is the camera too: switched on and off in its page, sent along with its pictures."""

from __future__ import annotations

import time
from collections.abc import Callable

from perse_live.arrays import Float32Array
from runtime.sound.contract import Take

_SILENCE = 1.0  # seconds without samples after which the microphone counts as switched off

BROWSER_MICROPHONE = "browser microphone"
"""Its name for people."""


class BrowserMicrophone:
    """A `SoundSource` that the web server fills while the page's microphone is on."""

    def __init__(self) -> None:
        self._take: Take | None = None
        self._last = -float("inf")
        self._began: list[Callable[[], None]] = []
        self.problem = ""

    @property
    def name(self) -> str:
        """Display name."""
        return BROWSER_MICROPHONE

    @property
    def exact(self) -> bool:
        """False: its clock is the browser's."""
        return False

    @property
    def on(self) -> bool:
        """Whether samples come."""
        return time.monotonic() - self._last < _SILENCE

    def when_on(self, call: Callable[[], None]) -> None:
        """Call each time it is switched on, on the thread that offers samples."""
        self._began.append(call)

    def start(self, take: Take) -> None:
        """Pass on what is offered from here on."""
        self._take = take

    def offer(self, samples: Float32Array, moment: float) -> None:
        """Put in samples (N,) at 48 kHz; moment: of the first one, seconds of time.monotonic()."""
        was_on, self._last = self.on, time.monotonic()
        if self._take is None:
            return
        self._take(samples, moment)
        if not was_on:
            for call in self._began:
                call()

    def close(self) -> None:
        """Pass on nothing more."""
        self._take = None
