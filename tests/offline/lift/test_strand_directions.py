from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from offline.lift.strand_directions import (
    along_strands,
    relative_brightness,
    unseen_direction,
)


def _skull(count: int) -> np.ndarray:
    """Points on a sphere about where a skull is, head frame."""
    away = np.random.default_rng(0).standard_normal((count, 3))
    return np.array([0.0, 0.01, -0.088]) + 0.1 * away / np.linalg.norm(away, axis=1, keepdims=True)


def test_strands_run_down_and_out_from_the_whorl() -> None:
    places = _skull(2000)
    along = unseen_direction(places)
    np.testing.assert_allclose(np.linalg.norm(along, axis=1), 1, atol=1e-6)
    low = places[:, 1] < -0.025
    np.testing.assert_allclose(
        along[low], np.broadcast_to([0.0, -1.0, 0.0], (int(low.sum()), 3)), atol=1e-9
    )
    sides = (np.abs(places[:, 0]) > 0.08) & ~low
    assert (along[sides, 1] < -0.5).all()
    front = (places[:, 2] > -0.02) & (places[:, 1] > 0.06)
    assert (along[front, 2] > 0).all()  # over the crown to the forehead


@pytest.mark.parametrize("depth", [0.0, 0.1, 0.4])
def test_light_and_dark_are_the_photo_s_and_even_out(depth: float) -> None:
    stripes = 0.4 * (1 + depth * np.sin(np.arange(120) * 2 * np.pi / 6))[None].repeat(60, 0)
    shaded = stripes * np.linspace(0.5, 1.0, 60)[:, None]  # the light on the head is no strand's
    hair = np.ones((60, 120), np.bool_)
    hair[:20] = False
    light = relative_brightness(shaded[..., None].repeat(3, 2).astype(np.float32), hair, 6.0)
    np.testing.assert_array_equal(light[~hair], 1)
    inner = light[30:50, 20:-20]
    assert inner.mean() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(inner[..., 0], inner[..., 1])  # grey strands
    assert inner.std() == pytest.approx(depth / np.sqrt(2), rel=0.12, abs=0.02)


def test_random_values_become_streaks_along_the_strands() -> None:
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.uniform(-0.05, 0.05, (4000, 2)), np.zeros((4000, 1))], 1)
    values = rng.uniform(0.5, 1.5, (4000, 3))
    for axis in (0, 1):
        along = np.zeros((4000, 3))
        along[:, axis] = 1
        found = along_strands(places, along, values)
        np.testing.assert_allclose(found.mean(0), values.mean(0), atol=1e-9)
        np.testing.assert_allclose(found.std(0), values.std(0), rtol=1e-6)
        ahead, aside = np.zeros(3), np.zeros(3)
        ahead[axis], aside[1 - axis] = 0.006, 0.006
        alike = []
        for step in (ahead, aside):
            distance, near = map(np.asarray, KDTree(places).query(places + step))
            same = distance < 0.001
            alike.append(np.corrcoef(found[same, 0], found[near[same], 0])[0, 1])
        assert alike[0] > 0.4 and alike[1] < 0.15
