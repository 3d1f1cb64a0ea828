"""Sound data of a session, and the interface of sound sources. Mono, 48,000 samples a second; times are seconds of
`time.monotonic()`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from perse_live.arrays import Float32Array

RATE = 48_000
"""Samples per second; what Opus and all usual devices know."""
BLOCK = RATE // 50
"""Samples of a block: 20 ms, a packet of Opus."""

Take = Callable[[Float32Array, float], None]
"""Called with samples (N,) in [-1, 1] and the recording time of the first."""


@dataclass(frozen=True, eq=False)
class VoiceBlock:
    """20 ms of the delayed voice."""

    samples: Float32Array
    """(BLOCK,) in [-1, 1]."""
    time: float
    """When the picture is drawn that the first sample belongs to."""
    number: int
    """Counts blocks of 20 ms; a number is left out only where the machine slept."""


class SoundSource(Protocol):
    """A source of sound. Opening (the constructor) raises UserError where it cannot be had, with what to do."""

    @property
    def name(self) -> str:
        """Display name, such as "microphone USB Audio"."""
        ...

    @property
    def exact(self) -> bool:
        """Whether the times of its samples are exact, as a film's are, or a device's, which drift and jitter."""
        ...

    @property
    def on(self) -> bool:
        """Whether it is switched on; only a browser's microphone is ever off."""
        ...

    @property
    def problem(self) -> str:
        """Why no samples come at present; empty while they do."""
        ...

    def start(self, take: Take) -> None:
        """Begin to give samples, on a separate thread."""
        ...

    def close(self) -> None:
        """Free the device; nothing is given afterwards. Closing again does nothing."""
        ...
