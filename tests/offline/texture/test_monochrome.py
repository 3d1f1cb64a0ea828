"""A photo's tones: colours that people are known to have become those that a black-and-white or toned photo would show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.looks.photo_tones import lab_of
from offline.texture.monochrome import tones_of

_TONGUE = np.array([[0.74, 0.37, 0.36]])


def _grey(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.05, 0.95, (3000, 1)).repeat(3, 1)


def test_a_tongue_is_grey_in_a_black_and_white_photo() -> None:
    toned = tones_of(_grey() + np.random.default_rng(1).normal(0, 0.002, (3000, 3))).toned(_TONGUE)
    assert np.ptp(toned) < 0.02
    assert lab_of(toned)[0, 0] == pytest.approx(lab_of(_TONGUE)[0, 0], abs=0.5)


def test_a_tongue_is_brown_in_a_sepia_photo() -> None:
    grey = _grey()
    sepia = np.clip(grey * [1.05, 0.93, 0.76], 0, 1)
    toned = tones_of(sepia).toned(_TONGUE)[0]
    light = toned[0] / 1.05
    np.testing.assert_allclose(toned, light * np.array([1.05, 0.93, 0.76]), atol=0.03)


@given(st.integers(0, 50))
def test_a_photo_with_colours_keeps_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    skin = np.array([0.8, 0.6, 0.5]) * rng.uniform(0.5, 1.1, (2500, 1))
    lips = np.array([0.75, 0.35, 0.35]) * rng.uniform(0.6, 1.1, (500, 1))
    np.testing.assert_array_equal(tones_of(np.concatenate([skin, lips])).toned(_TONGUE), _TONGUE)


def test_few_pixels_tell_nothing() -> None:
    np.testing.assert_array_equal(tones_of(_grey()[:50]).toned(_TONGUE), _TONGUE)
