"""Letterboxing: a whole picture in a frame of another aspect ratio, with black bars."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import UInt8Array


def inner_size(width: int, height: int, frame_width: int, frame_height: int) -> tuple[int, int]:
    """Width and height, pixels, of a picture of width x height scaled into a frame; at least 1, and at most the frame's."""
    scale = min(frame_width / width, frame_height / height)
    return min(frame_width, max(1, round(width * scale))), min(
        frame_height, max(1, round(height * scale))
    )


def framed(picture: UInt8Array, width: int, height: int) -> UInt8Array:
    """A picture in the middle of a black frame.

    picture: (H, W, 3), no larger than the frame; width, height: of the frame, pixels. Returns (height, width, 3), C-contiguous;
    the picture itself where it fills the frame. It begins at even pixels, since most formats halve the resolution of colours.
    """
    if picture.shape[:2] == (height, width):
        return np.ascontiguousarray(picture)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (
        (outer - inner) // 4 * 2
        for outer, inner in zip((height, width), picture.shape[:2], strict=True)
    )
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas
