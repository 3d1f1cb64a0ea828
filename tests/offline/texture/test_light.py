"""The light of a photo is found from skin of one albedo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.texture.light import estimate_light


def sphere(count: int, *, seed: int = 0, front: bool = True) -> np.ndarray:
    """Unit normals (N, 3), of the half that faces +z."""
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals[:, 2] = np.abs(normals[:, 2]) if front else normals[:, 2]
    return normals


@given(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6))
def test_shading_is_found_up_to_a_constant(side: float, above: float) -> None:
    normals = sphere(1500)
    truth = np.exp(side * normals[:, 0] + above * normals[:, 1])
    colors = np.clip(np.array([0.5, 0.4, 0.3]) * truth[:, None], 0, None)
    found = estimate_light(colors, np.ones(len(normals)), normals).shading(normals)
    ratio = found[:, 0] / truth
    # Its ends are cut off
    core = (truth >= np.percentile(truth, 3)) & (truth <= np.percentile(truth, 97))
    assert np.std(ratio[core]) / np.mean(ratio[core]) < 0.05


def test_brows_and_beards_do_not_darken_the_light() -> None:
    normals = sphere(2000)
    truth = np.exp(0.4 * normals[:, 0])
    colors = 0.5 * truth[:, None].repeat(3, 1)
    dark = (normals[:, 1] > 0.5) & (normals[:, 1] < 0.7)
    colors[dark] *= 0.2
    found = estimate_light(colors, np.ones(len(normals)), normals).shading(normals)
    ratio = found[:, 0] / truth
    assert ratio[dark].mean() / ratio[~dark].mean() == pytest.approx(1, abs=0.06)


def test_normals_that_no_point_shows_stay_in_the_range_that_is_seen() -> None:
    seen = sphere(1000)
    seen = seen[seen[:, 0] > 0.2]
    light = estimate_light(np.exp(0.8 * seen[:, :1]).repeat(3, 1) * 0.3, np.ones(len(seen)), seen)
    everywhere = light.shading(sphere(4000, seed=1, front=False))
    assert everywhere.max() <= light.shading(seen).max() + 1e-9
    assert everywhere.min() >= 0.85 * light.shading(seen).min()


def test_a_coloured_skin_is_not_taken_for_coloured_light() -> None:
    normals = sphere(1000)
    colors = np.tile([0.8, 0.4, 0.3], (len(normals), 1))
    np.testing.assert_allclose(
        estimate_light(colors, np.ones(len(normals)), normals).shading(normals), 1, atol=1e-6
    )
