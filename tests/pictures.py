"""Pictures as files keep them, and as a camera sees a face."""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.data import astronaut

from perse_live.arrays import UInt8Array


def stored_for(upright: UInt8Array, orientation: int) -> UInt8Array:
    """The pixels of a file with this EXIF orientation that shows `upright`."""
    return np.ascontiguousarray(
        {
            1: upright,
            2: upright[:, ::-1],
            3: upright[::-1, ::-1],
            4: upright[::-1],
            5: upright.transpose(1, 0, 2),
            6: np.rot90(upright),
            7: upright[::-1, ::-1].transpose(1, 0, 2),
            8: np.rot90(upright, -1),
        }[orientation]
    )


def astronaut_before_camera(
    *, shift: int = 0, color: tuple[int, int, int] = (120, 120, 120)
) -> UInt8Array:
    """A picture of 320x240 with a face, moved sideways by pixels, in a room of one colour."""
    picture = np.asarray(Image.fromarray(astronaut()[:300, 80:380]).resize((240, 240)))
    wide = np.full((240, 320, 3), color, np.uint8)
    wide[:, 40 + shift : 280 + shift] = picture
    return wide
