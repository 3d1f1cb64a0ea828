"""The measure of how much an avatar's own view is the photo."""

from __future__ import annotations

import numpy as np
import pytest

from offline.likeness import likeness
from perse_live.evaluation.image_metrics import MAX_PSNR


def _pictures(offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A grey photo, and a drawing of it that is `offset` lighter, opaque within the left half; the matte, and an oval."""
    photo = np.full((32, 32, 3), 100, np.uint8)
    matte = np.zeros((32, 32), np.float32)
    matte[:, :16] = 1
    drawn = np.zeros((32, 32, 4), np.uint8)
    drawn[:, :16] = [100 + offset] * 3 + [255]
    oval = np.zeros((32, 32), np.bool_)
    oval[8:24, 4:12] = True
    return drawn, photo, matte, oval


def test_an_even_error_has_the_ratio_that_the_definition_gives() -> None:
    like = likeness(*_pictures(8))
    assert like.person == pytest.approx(20 * np.log10(255 / 8))
    assert like.face == pytest.approx(like.person)


def test_the_background_does_not_count_and_a_hole_does() -> None:
    drawn, photo, matte, oval = _pictures(1)
    photo[:, 16:] = 255
    assert likeness(drawn, photo, matte, oval).person == pytest.approx(20 * np.log10(255))
    drawn[:4, :4] = 0
    holed = likeness(drawn, photo, matte, oval)
    assert holed.person < 27
    assert holed.face == pytest.approx(20 * np.log10(255))  # the hole is beside it


def test_the_same_picture_is_not_infinitely_alike() -> None:
    assert likeness(*_pictures(0)).person == MAX_PSNR
