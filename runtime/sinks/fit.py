"""Bringing drawn frames to the one size and layout that a sink has opened with."""

from __future__ import annotations

import cv2
import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.letterbox import framed, inner_size
from runtime.live.frames import DrawnFrame
from runtime.live.i420 import to_i420


def letterboxed(image: UInt8Array, width: int, height: int) -> UInt8Array:
    """A picture scaled as a whole into a frame of another size, black around it.

    image: (H, W, 3) RGB; width, height: even, at least 2. Returns (height, width, 3), C-contiguous; the picture itself where it
    fits already. Shrinks by area, enlarges linearly.
    """
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    size = inner_size(image.shape[1], image.shape[0], width, height)
    how = (
        cv2.INTER_AREA if size[0] < image.shape[1] or size[1] < image.shape[0] else cv2.INTER_LINEAR
    )
    return framed(np.asarray(cv2.resize(image, size, interpolation=how), np.uint8), width, height)


def opaque_picture(frame: DrawnFrame) -> UInt8Array:
    """What to show where transparency is unknown: of a two-up matte the left half, which is the avatar on black.

    Returns (H, W, 3) RGB, a view.
    """
    return frame.image[:, : frame.image.shape[1] // 2] if frame.matte else frame.image


def two_up_picture(frame: DrawnFrame) -> UInt8Array:
    """The frame as a two-up matte; one without alpha is opaque everywhere, so its right half is white.

    Returns (H, W, 3) RGB.
    """
    return (
        frame.image
        if frame.matte
        else np.concatenate([frame.image, np.full_like(frame.image, 255)], axis=1)
    )


def fitted_i420(frame: DrawnFrame, width: int, height: int, *, two_up: bool) -> UInt8Array:
    """A frame in the size and layout of a sink, as encoders take it; where it fits already, the conversion that sinks share.

    width, height: even, pixels; two_up: whether the sink shows mattes. Returns (height * 3 / 2, width), see `to_i420`.
    """
    if frame.matte == two_up and frame.image.shape[:2] == (height, width):
        return frame.i420()
    return to_i420(
        letterboxed(two_up_picture(frame) if two_up else opaque_picture(frame), width, height)
    )
