"""How the stored picture is turned and mirrored to be shown: the display matrix of MP4 and MOV (ISO/IEC 14496-12, 6.2.2)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame as AvFrame

from perse_live.arrays import UInt8Array


@dataclass(frozen=True)
class Orientation:
    """A mirroring from left to right, then quarter turns."""

    mirrored: bool
    quarter_turns: int
    """Counter-clockwise, 0 to 3."""

    @property
    def swaps_sides(self) -> bool:
        """Whether the shown picture is as wide as the stored one is high."""
        return self.quarter_turns % 2 == 1

    def applied(self, picture: UInt8Array) -> UInt8Array:
        """The picture (H, W, C) as it is shown, contiguous."""
        flipped = picture[:, ::-1] if self.mirrored else picture
        return np.ascontiguousarray(np.rot90(flipped, self.quarter_turns))


UPRIGHT = Orientation(mirrored=False, quarter_turns=0)


def orientation(frame: AvFrame) -> Orientation:
    """How a decoded frame asks to be shown; turns by other than quarters are taken to the nearest quarter."""
    try:
        data = bytes(cast("Mapping[Type, bytes]", frame.side_data)[Type.DISPLAYMATRIX])
    except KeyError:
        return UPRIGHT
    if len(data) < 36:
        return UPRIGHT
    values = np.frombuffer(data[:36], np.int32 if sys.byteorder == "little" else np.dtype(">i4")).astype(np.float64)
    a, b, c, d = values[[0, 1, 3, 4]]  # shown (x, y) = (a x + c y, b x + d y), y downwards
    determinant = a * d - b * c
    if determinant == 0:
        return UPRIGHT
    mirrored = determinant < 0
    if mirrored:  # take the mirroring of x off first
        a, b = -a, -b
    # rows (cos, sin), (-sin, cos) turn clockwise by that angle, as y points downwards
    clockwise = np.arctan2(b - c, a + d)
    return Orientation(mirrored, round(-clockwise / (np.pi / 2)) % 4)
