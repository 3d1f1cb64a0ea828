from __future__ import annotations

import numpy as np
import pytest

from offline.strands import contrast, lying, pattern


def _skull(count: int) -> np.ndarray:
    """Points on a sphere about where a skull is, head frame."""
    away = np.random.default_rng(0).standard_normal((count, 3))
    return np.array([0.0, 0.01, -0.088]) + 0.1 * away / np.linalg.norm(away, axis=1, keepdims=True)


def test_strands_run_down_and_out_from_the_whorl() -> None:
    places = _skull(2000)
    along = lying(places)
    np.testing.assert_allclose(np.linalg.norm(along, axis=1), 1, atol=1e-6)
    low = places[:, 1] < -0.025
    np.testing.assert_allclose(along[low], np.broadcast_to([0.0, -1.0, 0.0], (int(low.sum()), 3)), atol=1e-9)
    sides = (np.abs(places[:, 0]) > 0.08) & ~low
    assert (along[sides, 1] < -0.5).all()
    front = (places[:, 2] > -0.02) & (places[:, 1] > 0.06)
    assert (along[front, 2] > 0).all()  # over the crown to the forehead


def test_light_and_dark_change_across_strands_and_not_along_them() -> None:
    places = _skull(4000)[:, :]
    places = places[np.abs(places[:, 1]) < 0.06]
    along = lying(places)
    across = np.cross(along, places - np.array([0.0, 0.01, -0.088]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    tones = [pattern(at, np.random.default_rng(3)) for at in (places, places + 0.004 * along, places + 0.004 * across)]
    assert abs(float(tones[0].mean())) < 0.3
    assert 0.7 < float(tones[0].std()) < 1.3
    assert np.abs(tones[1] - tones[0]).mean() < 0.4 * np.abs(tones[2] - tones[0]).mean()


@pytest.mark.parametrize("depth", [0.0, 0.1, 0.9])
def test_contrast_is_that_of_the_photo_s_strands_within_reason(depth: float) -> None:
    stripes = 0.4 * (1 + depth * np.sin(np.arange(120) * 2 * np.pi / 6))[None].repeat(60, 0)
    image = stripes[..., None].repeat(3, 2).astype(np.float32)
    hair = np.ones((60, 120), np.bool_)
    found = contrast(image, hair, 6.0)
    assert found == pytest.approx(np.clip(depth / np.sqrt(2), 0.05, 0.2), rel=0.1)
    assert contrast(image, ~hair, 6.0) == pytest.approx(0.05)
