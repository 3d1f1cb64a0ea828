from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.gaussian_layer import Layer, surface_layer
from offline.refine.photometric import RefineConfig, refine_layer
from perse_live.arrays import Float32Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.regions import Region
from perse_live.rotations import to_matrix
from perse_live.splatting.cpu import CpuRasterizer

CAMERA = Camera.for_image(64, 64)
CENTER = np.array([0.0, 0.0, 0.5])
CONFIG = RefineConfig(iterations=60)


def _wall(seed: int) -> Layer:
    """A patch of 14 x 14 flat Gaussians before the camera, every other row frozen."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:14j, -1:1:14j] * 0.1
    means = np.stack([x, y, np.full_like(x, 0.5)], -1).reshape(-1, 3)
    normals = np.tile([[0.0, 0.0, -1.0]], (len(means), 1))
    frozen = np.arange(len(means)) // 14 % 2 == 1
    return surface_layer(
        means,
        normals,
        np.full(len(means), 0.011),
        rng.random((len(means), 3)),
        Region.SKIN,
        freedom=np.where(frozen, 0, 1),
        color_freedom=np.where(frozen, 0, 1),
        least_opacity=0.3,
    )


def _seen(gaussians: Gaussians) -> tuple[Float32Array, Float32Array]:
    """Colour times alpha, and alpha."""
    rgba = (
        CpuRasterizer(64, 64, threads=1)
        .render_float(gaussians, CAMERA, background=(0.0, 0.0, 0.0))
        .copy()
    )
    return rgba[..., :3], rgba[..., 3]


@pytest.fixture(scope="module")
def before() -> Layer:
    return _wall(0)


@pytest.fixture(scope="module")
def wanted() -> Gaussians:
    return _wall(1).gaussians


@pytest.fixture(scope="module")
def after(before: Layer, wanted: Gaussians) -> Layer:
    return _refined(before, wanted)


def _refined(
    layer: Layer,
    wanted: Gaussians,
    config: RefineConfig = CONFIG,
    shares: list[float] | None = None,
) -> Layer:
    premultiplied, alpha = _seen(wanted)
    image = (premultiplied / np.maximum(alpha, 1e-3)[..., None]).astype(np.float32)
    heard: list[float] = [] if shares is None else shares
    return refine_layer(
        layer,
        CAMERA,
        image,
        alpha,
        np.ones_like(alpha),
        CENTER,
        config=config,
        progress=heard.append,
    )


def test_the_picture_comes_closer(before: Layer, after: Layer, wanted: Gaussians) -> None:
    target, _ = _seen(wanted)
    start, end = (
        float(((_seen(layer.gaussians)[0] - target) ** 2).mean()) for layer in (before, after)
    )
    assert end < 0.6 * start


def test_what_is_frozen_stays(before: Layer, after: Layer) -> None:
    frozen = before.freedom == 0
    for name in ("means", "scales", "opacities"):
        np.testing.assert_allclose(
            getattr(after.gaussians, name)[frozen],
            getattr(before.gaussians, name)[frozen],
            atol=1e-6,
        )
    np.testing.assert_allclose(
        after.gaussians.colors[frozen], before.gaussians.colors[frozen], atol=1e-6
    )
    np.testing.assert_allclose(
        to_matrix(after.gaussians.quats[frozen].astype(np.float64)),
        to_matrix(before.gaussians.quats[frozen].astype(np.float64)),
        atol=1e-5,
    )


def test_nothing_leaves_its_bounds(before: Layer, after: Layer) -> None:
    old, new = before.gaussians, after.gaussians
    axes = to_matrix(old.quats.astype(np.float64))
    moved = np.einsum("nji,nj->ni", axes, new.means - old.means)  # in the axes of each
    assert (
        np.abs(moved[:, :2]) <= CONFIG.drift * old.scales[:, :2] * before.freedom[:, None] + 1e-6
    ).all()
    np.testing.assert_allclose(moved[:, 2], 0, atol=1e-6)  # never off the surface
    growth = np.log(new.scales / old.scales)
    assert growth.max() <= CONFIG.growth + 1e-4
    assert growth.min() >= -CONFIG.growth * CONFIG.shrink - 1e-4
    np.testing.assert_allclose(growth[:, 2], 0, atol=1e-5)
    assert (new.opacities >= before.least_opacity - 1e-6).all()
    assert (new.opacities <= 0.99 + 1e-6).all()
    assert (new.colors > 0).all() and (new.colors < 1).all()
    normals = to_matrix(new.quats.astype(np.float64))[:, :, 2]
    np.testing.assert_allclose(normals, axes[:, :, 2], atol=1e-5)  # turned only within the surface


def test_something_did_move(before: Layer, after: Layer) -> None:
    free = before.freedom == 1
    assert np.abs(after.gaussians.means - before.gaussians.means)[free].max() > 1e-4
    assert np.abs(after.gaussians.colors - before.gaussians.colors)[free].max() > 0.05
    for name in ("triangles", "regions", "freedom", "color_freedom", "least_opacity"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_a_photo_that_is_met_already_changes_little(wanted: Gaussians) -> None:
    layer = _wall(1)
    same = _refined(layer, wanted, replace(CONFIG, iterations=20))
    difference = np.abs(_seen(same.gaussians)[0] - _seen(wanted)[0])
    assert difference.mean() < 0.01


def test_the_same_again_gives_the_same(before: Layer, wanted: Gaussians) -> None:
    shares: list[float] = []
    config = replace(CONFIG, iterations=8)
    first, second = _refined(before, wanted, config, shares), _refined(before, wanted, config)
    np.testing.assert_array_equal(first.gaussians.means, second.gaussians.means)
    np.testing.assert_array_equal(first.gaussians.colors, second.gaussians.colors)
    assert shares == pytest.approx(np.arange(1, 9) / 8)
