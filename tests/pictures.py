"""Pictures as files keep them."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import UInt8Array


def stored_for(upright: UInt8Array, orientation: int) -> UInt8Array:
    """The pixels of a file with this EXIF orientation that shows `upright`."""
    return np.ascontiguousarray({
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright), 7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, -1)}[orientation])
