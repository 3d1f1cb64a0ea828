"""The conversion for encoders, against an obvious one in float64 and against OpenCV, and that it is made once."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_frames import drawn, picture, two_up

from perse_live.arrays import UInt8Array
from runtime.live.i420 import to_i420
from runtime.sinks.fit import fitted_i420


def slow_i420(image: UInt8Array) -> UInt8Array:
    """BT.601-7, section 2.5.1, limited range, in float64; chroma of the mean of 2 x 2 pixels."""
    height, width = image.shape[:2]
    red, green, blue = np.moveaxis(image.astype(np.float64) / 255, 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = ((plane - luma) / scale for plane, scale in ((blue, 1.772), (red, 1.402)))
    halves = [plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for plane in (u, v)]
    planes = [16 + 219 * luma, *(128 + 224 * half for half in halves)]
    return (
        np.rint(np.concatenate([plane.reshape(-1) for plane in planes]))
        .astype(np.uint8)
        .reshape(height * 3 // 2, width)
    )


@given(st.integers(1, 20), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_it_is_the_standards_conversion(rows: int, columns: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (2 * rows, 2 * columns, 3), np.uint8)
    fast, slow = to_i420(image).astype(int), slow_i420(image).astype(int)
    assert fast.shape == slow.shape
    assert np.abs(fast - slow).max() <= 1 and (fast != slow).sum() <= 2 + 0.01 * fast.size, (
        "it rounds at 16 bits"
    )


@pytest.mark.parametrize(
    "color", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (217, 219, 222)]
)
def test_opencv_reads_the_colour_back(color: tuple[int, int, int]) -> None:
    image = np.full((16, 16, 3), color, np.uint8)
    assert (
        np.abs(cv2.cvtColor(to_i420(image), cv2.COLOR_YUV2RGB_I420).astype(int) - color).max() <= 3
    )


def test_odd_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="15x16"):
        to_i420(np.zeros((16, 15, 3), np.uint8))


def test_sinks_of_the_same_size_share_one_conversion() -> None:
    frame = drawn(picture(3, 96, 64))
    assert (
        fitted_i420(frame, 96, 64, two_up=False)
        is frame.i420()
        is fitted_i420(frame, 96, 64, two_up=False)
    )
    assert fitted_i420(frame, 48, 64, two_up=False).shape == (96, 48)
    other = replace(frame, image=picture(9, 96, 64))
    assert (other.i420() != frame.i420()).any(), "a changed picture is converted again"


def test_mattes_are_converted_whole_or_by_half() -> None:
    frame = drawn(two_up(picture(0, 96, 64), 55), matte=True)
    assert fitted_i420(frame, 192, 64, two_up=True) is frame.i420()
    assert (
        fitted_i420(frame, 96, 64, two_up=False)
        == to_i420(np.ascontiguousarray(frame.image[:, :96]))
    ).all()
