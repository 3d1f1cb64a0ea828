"""Clothes and lashes take no colours that the photo does not show around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offline.gaussian_layer import Layer, surface_layer
from offline.refine.color_bounds import within_seen_colors
from perse_live.camera import Camera
from perse_live.regions import Region

CAMERA = Camera(width=64, height=64, fx=64.0, fy=64.0, cx=32.0, cy=32.0)
COUNT = 16
COLORS = arrays(np.float32, (COUNT, 3), elements=st.floats(0, 1, width=32))


def _layer(colors: np.ndarray, region: Region) -> Layer:
    along = np.linspace(-0.4, 0.4, COUNT)
    means = np.stack([along, np.zeros(COUNT), np.ones(COUNT)], 1)
    normals = np.tile([0.0, 0.0, -1.0], (COUNT, 1))
    return surface_layer(means, normals, np.full(COUNT, 0.01), colors, region)


def _bounded(start: np.ndarray, refined: np.ndarray, region: Region) -> np.ndarray:
    image = np.full((64, 64, 3), 0.5, np.float32)
    image[:, :32] = 0.4
    before = _layer(start, region)
    after = replace(before, gaussians=replace(before.gaussians, colors=refined))
    return within_seen_colors(before, after, image, CAMERA, 3.0, 0.1).gaussians.colors


@given(start=COLORS, refined=COLORS, region=st.sampled_from([Region.CLOTHES, Region.LASHES]))
def test_clothes_and_lashes_keep_to_the_photo_or_to_what_they_were(
    start: np.ndarray, refined: np.ndarray, region: Region
) -> None:
    colors = _bounded(start, refined, region)
    assert (colors >= np.minimum(0.3, start) - 1e-6).all()
    assert (colors <= np.maximum(0.6, start) + 1e-6).all()
    kept = (refined >= 0.41) & (refined <= 0.49)
    np.testing.assert_array_equal(colors[kept], refined[kept])


def test_the_bounds_are_those_of_the_place() -> None:
    flat = np.full((COUNT, 3), 0.45, np.float32)
    dark = _bounded(flat, np.zeros((COUNT, 3), np.float32), Region.CLOTHES)
    np.testing.assert_allclose(dark[:4], 0.3, atol=1e-6)
    np.testing.assert_allclose(dark[-4:], 0.4, atol=1e-6)


def test_hair_is_free() -> None:
    flat, red = np.full((COUNT, 3), 0.45, np.float32), np.tile([1.0, 0.0, 0.0], (COUNT, 1))
    np.testing.assert_array_equal(_bounded(flat, red.astype(np.float32), Region.HAIR), red)
