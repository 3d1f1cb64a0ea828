"""RGB to I420 (planar YUV 4:2:0), which encoders and virtual cameras take: converted once per picture, in one pass."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.jit import kernel

_BITS = 16  # of fixed-point coefficients
_ONE = 1 << _BITS
# ITU-R BT.601-7, section 2.5.1, at limited range: luma 16 to 235, chroma 16 to 240
_Y_RED, _Y_GREEN, _Y_BLUE = (round(_ONE * 219 / 255 * share) for share in (0.299, 0.587, 0.114))
_CHROMA = _ONE * 224 / 255 / 4  # a quarter, as the kernel sums four pixels
_U_RED, _U_GREEN, _U_BLUE = (
    round(_CHROMA * share) for share in (-0.299 / 1.772, -0.587 / 1.772, 0.5)
)
_V_RED, _V_GREEN, _V_BLUE = (
    round(_CHROMA * share) for share in (0.5, -0.587 / 1.402, -0.114 / 1.402)
)
# With half a step for rounding
_LUMA_ZERO, _CHROMA_ZERO = (16 * _ONE + _ONE // 2, 128 * _ONE + _ONE // 2)


def to_i420(picture: UInt8Array) -> UInt8Array:
    """A picture in BT.601, limited range; chroma is the mean of 2 x 2 pixels.

    picture: (H, W, 3) RGB, even sides. Returns (H * 3 / 2, W): luma, then both chroma planes row after row, as OpenCV and FFmpeg
    lay them out. Raises ValueError for odd sides.
    """
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"4:2:0 needs even sides, not {width}x{height}")
    planes = np.empty((height * 3 // 2, width), np.uint8)
    flat, size = planes.reshape(-1), width * height
    _convert(
        np.ascontiguousarray(picture).reshape(-1),
        width,
        height,
        flat[:size],
        flat[size : size * 5 // 4],
        flat[size * 5 // 4 :],
    )
    return planes


@kernel
def _convert(
    rgb: UInt8Array, width: int, height: int, luma: UInt8Array, blue: UInt8Array, red: UInt8Array
) -> None:
    half = width >> 1
    for row in range(height):
        source = rgb[3 * width * row : 3 * width * (row + 1)]
        line = luma[width * row : width * (row + 1)]
        for x in range(width):
            line[x] = np.uint8(
                (
                    np.int32(_Y_RED) * np.int32(source[3 * x])
                    + np.int32(_Y_GREEN) * np.int32(source[3 * x + 1])
                    + np.int32(_Y_BLUE) * np.int32(source[3 * x + 2])
                    + np.int32(_LUMA_ZERO)
                )
                >> np.int32(_BITS)
            )
    for row in range(height >> 1):
        upper = rgb[6 * width * row : 6 * width * row + 3 * width]
        lower = rgb[6 * width * row + 3 * width : 6 * width * (row + 1)]
        u, v = blue[half * row : half * (row + 1)], red[half * row : half * (row + 1)]
        for x in range(half):
            r = (
                np.int32(upper[6 * x])
                + np.int32(upper[6 * x + 3])
                + np.int32(lower[6 * x])
                + np.int32(lower[6 * x + 3])
            )
            g = (
                np.int32(upper[6 * x + 1])
                + np.int32(upper[6 * x + 4])
                + np.int32(lower[6 * x + 1])
                + np.int32(lower[6 * x + 4])
            )
            b = (
                np.int32(upper[6 * x + 2])
                + np.int32(upper[6 * x + 5])
                + np.int32(lower[6 * x + 2])
                + np.int32(lower[6 * x + 5])
            )
            u[x] = np.uint8(
                (
                    np.int32(_U_RED) * r
                    + np.int32(_U_GREEN) * g
                    + np.int32(_U_BLUE) * b
                    + np.int32(_CHROMA_ZERO)
                )
                >> np.int32(_BITS)
            )
            v[x] = np.uint8(
                (
                    np.int32(_V_RED) * r
                    + np.int32(_V_GREEN) * g
                    + np.int32(_V_BLUE) * b
                    + np.int32(_CHROMA_ZERO)
                )
                >> np.int32(_BITS)
            )
