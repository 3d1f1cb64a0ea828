"""Skin out of the photo's sight goes the way of the skin in sight; neighbours change alike during refinement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

from offline.gaussian_layer import Layer, surface_layer
from offline.refine.photometric import RefineConfig, refine_layer
from offline.refine.unseen_skin import color_laplacian, with_followed_changes
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.head.rig import Part
from perse_live.regions import Region
from perse_live.splatting.contributions import contributions

GREY = 0.5


@pytest.fixture(scope="module")
def skin(mean_head: PhotoGeometry) -> Layer:
    """A Gaussian on every second triangle of the mean head's skin, grey."""
    rig = mean_head.rig
    rows = np.flatnonzero(rig.parts == Part.SKIN)[::2].astype(np.int32)
    corners = mean_head.vertices[rig.triangles[rows]].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return surface_layer(corners.mean(1), normals, np.full(len(rows), 0.006), np.full((len(rows), 3), GREY), Region.SKIN,
                         triangles=rows)


def test_what_the_photo_does_not_show_takes_the_change_of_what_it_shows(skin: Layer, mean_head: PhotoGeometry) -> None:
    drawn = contributions(skin.gaussians, mean_head.camera)
    brighter = np.repeat(np.where(drawn[:, None] > 0.1, GREY + 0.1, GREY), 3, axis=1).astype(np.float32)
    changed = replace(skin, gaussians=replace(skin.gaussians, colors=brighter))
    followed = with_followed_changes(skin, changed, mean_head, mean_head.camera).gaussians.colors[:, 0]
    well = drawn > np.median(drawn[drawn > 0])
    np.testing.assert_allclose(followed[well], GREY + 0.1, atol=0.01)
    hidden = np.flatnonzero(drawn < 0.1)
    distance = KDTree(skin.gaussians.means[well]).query(skin.gaussians.means[hidden])[0]
    near, far = hidden[distance < 0.015], hidden[distance > 0.05]
    assert min(len(near), len(far)) > 10
    assert followed[near].mean() > GREY + 0.05
    assert followed[far].mean() < followed[near].mean()


def test_hair_and_skin_that_nothing_changed_stay(skin: Layer, mean_head: PhotoGeometry) -> None:
    same = with_followed_changes(skin, skin, mean_head, mean_head.camera)
    np.testing.assert_allclose(same.gaussians.colors, skin.gaussians.colors, atol=1e-6)
    hair = replace(skin, regions=np.full(len(skin), int(Region.HAIR), np.uint8))
    assert with_followed_changes(hair, hair, mean_head, mean_head.camera) is hair


def test_the_laplacian_is_symmetric_and_measures_differences_only(skin: Layer, mean_head: PhotoGeometry) -> None:
    form = color_laplacian(skin, mean_head)
    assert form.shape == (len(skin), len(skin))
    assert abs(form - form.T).max() < 1e-9
    np.testing.assert_allclose(form @ np.ones((len(skin), 3), np.float32), 0, atol=1e-7)
    bumpy = np.random.default_rng(0).normal(size=(len(skin), 3)).astype(np.float32)
    assert float((bumpy * (form @ bumpy)).sum()) > 0


def test_doubtful_neighbours_are_tied_more_firmly(skin: Layer, mean_head: PhotoGeometry) -> None:
    doubtful = replace(skin, color_freedom=np.full(len(skin), 0.3, np.float32))
    firm, loose = color_laplacian(doubtful, mean_head).diagonal().sum(), color_laplacian(skin, mean_head).diagonal().sum()
    assert firm > 20 * loose


@pytest.mark.slow
def test_coupled_colours_come_out_smoother(skin: Layer, mean_head: PhotoGeometry) -> None:
    doubtful = replace(skin, color_freedom=np.full(len(skin), 0.4, np.float32))
    camera = mean_head.camera
    shape = (camera.height, camera.width)
    image = np.random.default_rng(0).uniform(0.2, 0.8, (*shape, 3)).astype(np.float32)
    alpha = mean_head.seen.covered.astype(np.float32)
    form, center = color_laplacian(doubtful, mean_head), mean_head.t_cam_head
    roughness: list[float] = []
    for coupling in (0.0, 3.0):
        config = RefineConfig(iterations=20, coupling=coupling)
        fitted = refine_layer(doubtful, camera, image, alpha, np.ones(shape, np.float32), center, laplacian=form, config=config,
                              progress=lambda _: None)
        change = fitted.gaussians.colors - doubtful.gaussians.colors
        roughness.append(float((change * (form @ change)).sum()))
    assert roughness[1] < 0.7 * roughness[0]
