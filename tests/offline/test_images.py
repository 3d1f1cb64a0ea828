from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from hypothesis_profiles import examples
from offline.images import (
    blur,
    dilate,
    distance_to,
    erode,
    fill_from,
    mean_around,
    polygon,
    sample,
    without_small,
)


def _bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Plain reference of `sample` for one place."""
    height, width = image.shape[:2]
    x, y = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = x - left, y - top
    above = (1 - u) * image[top, left] + u * image[top, right]
    below = (1 - u) * image[bottom, left] + u * image[bottom, right]
    return (1 - v) * above + v * below


@examples(20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(7, 5), (4, 6, 3)]))
def test_sample_is_bilinear_and_repeats_the_edges(seed: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random(shape)
    pixels = rng.uniform(-3, 10, (30, 2))
    slow = np.array([_bilinear(image, x, y) for x, y in pixels])
    # OpenCV looks up at 1/32 of a pixel
    np.testing.assert_allclose(sample(image, pixels), slow, atol=2 / 32)


def test_sample_takes_any_number_of_places() -> None:
    image = np.arange(48.0).reshape(6, 8)
    centres = np.stack(np.meshgrid(np.arange(8) + 0.5, np.arange(6) + 0.5), -1).reshape(-1, 2)
    np.testing.assert_allclose(sample(image, centres), image.reshape(-1))
    many = np.tile(centres, (400, 1))
    np.testing.assert_allclose(sample(image, many), np.tile(image.reshape(-1), 400))
    assert sample(image, np.zeros((0, 2))).shape == (0,)


@examples(20)
@given(st.integers(0, 2**32 - 1), st.integers(3, 60), st.integers(3, 60))
def test_filling_keeps_what_is_known_and_invents_nothing_beyond_it(
    seed: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.2, 0.9, (height, width, 3)).astype(np.float32)
    known = rng.random((height, width)) < 0.3
    known[rng.integers(height), rng.integers(width)] = True
    filled = fill_from(np.where(known[..., None], image, 77.0), known.astype(np.float32))
    np.testing.assert_allclose(filled[known], image[known], atol=1e-6)
    least, most = image[known].min(0), image[known].max(0)
    assert (filled >= least - 1e-4).all()
    assert (filled <= most + 1e-4).all()


def test_filling_continues_a_slope() -> None:
    y, x = np.mgrid[0:64, 0:64] / 64
    slope = 0.3 * x + 0.6 * y
    hole = np.hypot(x - 0.5, y - 0.5) < 0.15
    filled = fill_from(np.where(hole, 0, slope), (~hole).astype(np.float32))
    assert filled.shape == slope.shape
    assert np.abs(filled - slope)[hole].max() < 0.06


def test_filling_from_nothing_is_finite() -> None:
    assert np.isfinite(fill_from(np.zeros((20, 30, 3)), np.zeros((20, 30)))).all()


@examples(20)
@given(st.integers(0, 2**32 - 1))
def test_distances(seed: int) -> None:
    mask = np.random.default_rng(seed).random((40, 50)) < 0.02
    mask[11, 23] = True
    np.testing.assert_allclose(
        distance_to(mask), np.asarray(distance_transform_edt(~mask)), rtol=0.03, atol=0.05
    )


@pytest.mark.parametrize("radius", [1, 3, 6.4])
def test_masks_grow_and_shrink_by_a_radius(radius: float) -> None:
    mask = np.zeros((61, 61), np.bool_)
    mask[20:41, 20:41] = True
    reach = round(radius)
    assert dilate(mask, radius)[30].sum() == 21 + 2 * reach
    assert erode(mask, radius)[30].sum() == 21 - 2 * reach
    assert not (erode(mask, radius) & ~mask).any()
    # The picture's border is no edge
    np.testing.assert_array_equal(erode(np.ones((9, 9), np.bool_), radius), True)


def test_blurring_keeps_the_mean_and_takes_masks() -> None:
    mask = np.zeros((41, 41), np.bool_)
    mask[20, 20] = True
    soft = blur(mask, 2.0)
    assert soft.dtype == np.float32
    assert soft.sum() == pytest.approx(1, abs=1e-4)
    assert soft.max() == pytest.approx(1 / (2 * np.pi * 4), rel=0.05)


def test_a_polygon_is_filled_at_pixel_centres() -> None:
    mask = polygon(np.array([[10.5, 5.5], [30.5, 5.5], [30.5, 25.5], [10.5, 25.5]]), (40, 50))
    assert mask.shape == (40, 50)
    assert mask[5:26, 10:31].all()
    assert mask.sum() == 21 * 21


def test_small_pieces_go_and_large_ones_stay_as_they_are() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[2:12, 2:12] = True
    speck = mask.copy()
    speck[20:23, 30:33] = True
    np.testing.assert_array_equal(without_small(speck, 10), mask)
    np.testing.assert_array_equal(without_small(speck, 9), speck)
    assert not without_small(np.zeros((5, 5), np.bool_), 1).any()


def test_a_mean_around_a_pixel_takes_the_masks_pixels_alone() -> None:
    mask = np.arange(64)[None].repeat(64, 0) < 32
    image = np.where(mask, 0.25, np.nan).astype(np.float32)  # what is off the mask has no say
    mean = mean_around(image, mask, 4.0)
    np.testing.assert_allclose(mean[:, :36], 0.25, atol=1e-6)
    assert not mean[:, 60:].any()
    np.testing.assert_array_equal(mean_around(np.dstack([image] * 3), mask, 4.0)[..., 1], mean)
