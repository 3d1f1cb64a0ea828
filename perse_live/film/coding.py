"""Coding of written pictures, for films and recordings: 4:2:0, limited range, labelled with the matrix used.

Labels are code points of ISO/IEC 23091-2 (ITU-T H.273).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from fractions import Fraction
from typing import cast

import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame as AvFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from perse_live.arrays import UInt8Array
from perse_live.film.colors import CAREFUL_CONVERSION

_BT709 = 1  # primaries and transfer; sRGB pictures are labelled so by custom, as players send BT.709 to the screen unchanged


class Matrix(Enum):
    """Luma and chroma of R'G'B'; the value is its label."""

    BT601 = 6
    """SMPTE 170M: what OpenCV's RGB2YUV_I420 makes, and what WebRTC takes unlabelled pictures for."""
    BT709 = 1
    """What players take films for."""


def even_size(width: int, height: int) -> tuple[int, int]:
    """The next size with even sides, pixels: 4:2:0 in H.264 knows no others, and QuickTime plays nothing but 4:2:0."""
    return width + width % 2, height + height % 2


def padded(picture: UInt8Array, width: int, height: int) -> UInt8Array:
    """The picture (H, W, C) with its last column and row repeated up to (height, width, C), contiguous."""
    missing = ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0))
    return np.ascontiguousarray(
        np.pad(picture, missing, mode="edge") if any(map(any, missing)) else picture
    )


def add_video_stream(
    container: OutputContainer,
    codec: str,
    *,
    width: int,
    height: int,
    pixel_format: str,
    rate: Fraction,
    time_base: Fraction,
    matrix: Matrix,
    options: Mapping[str, str],
) -> VideoStream:
    """A stream to encode to, labelled with its colours."""
    stream = cast("VideoStream", container.add_stream(codec, rate=rate, options=dict(options)))
    stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
    context = stream.codec_context
    context.time_base = time_base
    context.colorspace, context.color_primaries, context.color_trc = matrix.value, _BT709, _BT709
    context.color_range = ColorRange.MPEG
    return stream


def coded(
    converter: VideoReformatter, picture: UInt8Array, pixel_format: str, matrix: Matrix
) -> AvFrame:
    """A picture (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha, contiguous, as the encoder takes it."""
    source = AvFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
    return converter.reformat(
        source,
        format=pixel_format,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU709 if matrix is Matrix.BT709 else Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        interpolation=CAREFUL_CONVERSION,
    )


def coded_i420(planes: UInt8Array) -> AvFrame:
    """planes: (H * 3 / 2, W) I420 of even size, limited range: luma, then the two chroma planes, as OpenCV lays them out."""
    return AvFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
