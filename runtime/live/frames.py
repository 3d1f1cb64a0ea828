"""What travels through a live session. Times are seconds of `time.monotonic()`."""

from __future__ import annotations

from dataclasses import dataclass

from perse_live.arrays import UInt8Array


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """A camera picture. It is looked at by the tracker, and goes nowhere else."""

    image: UInt8Array
    """(H, W, 3) RGB, not mirrored."""
    time: float
    """When it was taken, as far as known; else when it arrived."""


@dataclass(frozen=True, eq=False)
class DrawnFrame:
    """A picture of the avatar, as sinks show it: background and badge are in it. Nobody writes to it any more."""

    image: UInt8Array
    """(H, W, 3) RGB, C-contiguous, even sides. With an alpha background W is doubled: left the avatar on black, right its alpha
    as grey ("two-up matte"). Size and layout may change from frame to frame."""
    matte: bool
    """Whether the picture is a two-up matte."""
    time: float
    """When drawing ended."""
    captured: float | None
    """When the camera picture was taken that this answers; None where none was needed (idle)."""
    number: int
    """Counts drawn frames from 1."""
