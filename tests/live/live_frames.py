"""Frames for the tests of sources and sinks."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import UInt8Array
from runtime.live.frames import DrawnFrame


def picture(index: int, width: int = 128, height: int = 96) -> UInt8Array:
    """(height, width, 3): smooth and coloured, its blue tells the index, its corners differ."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [40 + 160 * x / width, 200 - 150 * y / height, np.full_like(x, 20 + 4 * (index % 50))]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def drawn(
    image: UInt8Array, *, time: float = 100.0, matte: bool = False, number: int = 1
) -> DrawnFrame:
    """A drawn frame around a picture."""
    return DrawnFrame(image, matte, time, None, number)


def two_up(image: UInt8Array, alpha: int) -> UInt8Array:
    """A two-up matte of constant alpha."""
    return np.concatenate([image, np.full_like(image, alpha)], axis=1)


def mean_error(a: UInt8Array, b: UInt8Array) -> float:
    """Of all pixels and channels."""
    assert a.shape == b.shape
    return float(np.abs(a.astype(np.float32) - b).mean())
