from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypothesis_profiles import examples
from offline.gaussian_layer import empty_layer, frames, join, surface_layer
from perse_live.regions import Region
from perse_live.rotations import to_matrix


@examples(30)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_frames_stand_on_the_surface(seed: int, given_direction: bool) -> None:
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(40, 3))
    normals[:6] = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    along = rng.normal(size=(40, 3))
    along[::5] = normals[::5]  # no direction in the surface
    axes = frames(normals, along if given_direction else None)
    np.testing.assert_allclose(
        axes.transpose(0, 2, 1) @ axes, np.tile(np.eye(3), (40, 1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(axes), 1, atol=1e-6)
    np.testing.assert_allclose(axes[:, :, 2], normals, atol=1e-6)
    if given_direction:
        lies = np.arange(40) % 5 != 0
        assert ((axes[:, :, 0] * along).sum(1)[lies] > 0).all()
        np.testing.assert_allclose((axes[:, :, 1] * along).sum(1)[lies], 0, atol=1e-6)


def test_a_surface_layer_lies_flat() -> None:
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(20, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    layer = surface_layer(
        rng.random((20, 3)),
        normals,
        np.array([[0.002, 0.001]] * 20),
        np.full((20, 3), 1.2),
        Region.HAIR,
        thickness=0.4,
        opacity=0.5,
    )
    np.testing.assert_allclose(
        layer.gaussians.scales, np.array([[0.002, 0.001, 0.0004]] * 20), rtol=1e-5
    )
    np.testing.assert_allclose(
        to_matrix(layer.gaussians.quats.astype(np.float64))[:, :, 2], normals, atol=1e-5
    )
    assert (layer.gaussians.colors < 1).all()
    assert (layer.gaussians.opacities == 0.5).all()
    assert (layer.triangles == -1).all()
    assert (layer.regions == Region.HAIR).all()


def test_layers_are_joined_in_order_and_chosen_from() -> None:
    first, second = (
        surface_layer(
            np.arange(3.0 * count).reshape(count, 3),
            np.tile([[0.0, 0.0, 1.0]], (count, 1)),
            np.full(count, 0.01),
            np.full((count, 3), 0.5),
            region,
            triangles=np.arange(count, dtype=np.int32),
            freedom=np.linspace(0, 1, count),
        )
        for count, region in ((4, Region.SKIN), (3, Region.CLOTHES))
    )
    both = join(first, empty_layer(), second)
    assert len(both) == 7
    np.testing.assert_array_equal(both.regions, [Region.SKIN] * 4 + [Region.CLOTHES] * 3)
    np.testing.assert_array_equal(both.gaussians.means[4:], second.gaussians.means)
    chosen = both.select(both.regions == Region.CLOTHES)
    for name in ("triangles", "regions", "freedom", "color_freedom", "least_opacity"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(second, name))
    np.testing.assert_array_equal(chosen.gaussians.means, second.gaussians.means)


def test_one_value_or_one_each() -> None:
    flat = np.tile([[0.0, 0.0, 1.0]], (3, 1))
    layer = surface_layer(
        flat, flat, np.full(3, 0.01), flat, Region.EYE, opacity=np.array([0.1, 0.2, 0.3])
    )
    assert layer.gaussians.opacities == pytest.approx([0.1, 0.2, 0.3])
    assert layer.gaussians.scales[:, 2] == pytest.approx([0.003] * 3)
