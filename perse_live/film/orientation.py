"""How the stored picture is turned and mirrored to be shown: the display matrix of MP4 and MOV (ISO/IEC 14496-12, 6.2.2)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame as AvFrame

from perse_live.arrays import UInt8Array

_QUARTER_TOLERANCE = 1.0  # degrees, as in FFmpeg


@dataclass(frozen=True)
class Orientation:
    """A mirroring from left to right, then quarter turns, or for any other angle a turn within the borders of the picture."""

    mirrored: bool
    quarter_turns: int
    """Counter-clockwise, 0 to 3."""
    degrees: float = 0.0
    """Clockwise, instead of quarter turns; corners are cut off and what was beyond is black, as in FFmpeg's player."""

    @property
    def swaps_sides(self) -> bool:
        """Whether the shown picture is as wide as the stored one is high."""
        return self.quarter_turns % 2 == 1

    def applied(self, picture: UInt8Array) -> UInt8Array:
        """The picture (H, W, C) as it is shown, contiguous."""
        flipped = np.ascontiguousarray(picture[:, ::-1]) if self.mirrored else picture
        if self.degrees:
            height, width = picture.shape[:2]
            turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -self.degrees, 1.0)
            return np.asarray(
                cv2.warpAffine(flipped, turn, (width, height), flags=cv2.INTER_LINEAR), np.uint8
            )
        return np.ascontiguousarray(np.rot90(flipped, self.quarter_turns))


UPRIGHT = Orientation(mirrored=False, quarter_turns=0)


def orientation(frame: AvFrame) -> Orientation:
    """How a decoded frame asks to be shown."""
    try:
        data = bytes(cast("Mapping[Type, bytes]", frame.side_data)[Type.DISPLAYMATRIX])
    except KeyError:
        return UPRIGHT
    if len(data) < 36:
        return UPRIGHT
    values = np.frombuffer(
        data[:36], np.int32 if sys.byteorder == "little" else np.dtype(">i4")
    ).astype(np.float64)
    a, b, c, d = values[[0, 1, 3, 4]]  # shown (x, y) = (a x + c y, b x + d y), y downwards
    determinant = a * d - b * c
    if determinant == 0:
        return UPRIGHT
    mirrored = determinant < 0
    if mirrored:  # take the mirroring of x off first
        a, b = -a, -b
    # rows (cos, sin), (-sin, cos) turn clockwise by that angle, as y points downwards
    clockwise = float(np.degrees(np.arctan2(b - c, a + d)))
    quarters = round(-clockwise / 90)
    if abs(clockwise + 90 * quarters) > _QUARTER_TOLERANCE:
        return Orientation(mirrored, 0, degrees=clockwise)
    return Orientation(mirrored, quarters % 4)
