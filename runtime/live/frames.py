"""Frames that are passed between the threads of a live session. Times are seconds of `time.monotonic()`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perse_live.arrays import UInt8Array
from runtime.live.i420 import to_i420

if TYPE_CHECKING:
    from runtime.live.painter import Actor
    from runtime.stage import Motion


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """A camera picture; only the tracker receives it."""

    image: UInt8Array
    """(H, W, 3) RGB, not mirrored."""
    time: float
    """When it was taken, as far as known; else when it arrived."""


@dataclass(frozen=True, eq=False)
class DrawnFrame:
    """A picture of the avatar for the sinks, with background and badge. Immutable."""

    image: UInt8Array
    """(H, W, 3) RGB, C-contiguous, even sides. With an alpha background W is doubled: left the avatar on black, right its alpha
    as grey ("two-up matte"). Size and layout may change from frame to frame."""
    matte: bool
    """Whether the picture is a two-up matte."""
    time: float
    """When drawing ended."""
    captured: float | None
    """When the camera picture was taken that this frame follows; None without one (idle)."""
    number: int
    """Counts drawn frames from 1."""
    motion: Motion | None = None
    """The avatar's motion, for recordings of motion; None: unknown."""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of its attributes, by name."""
    actor: Actor | None = None
    """Which avatar it shows, for viewers that draw by themselves; None: unknown."""
    _converting: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _converted: list[UInt8Array] = field(default_factory=list["UInt8Array"], init=False, repr=False)

    def i420(self) -> UInt8Array:
        """The picture as encoders take it, `to_i420`: (H * 3 / 2, W). Computed at first use and shared by all sinks."""
        with self._converting:
            if not self._converted:
                self._converted.append(to_i420(self.image))
            return self._converted[0]
