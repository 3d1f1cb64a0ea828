"""What is out of the photo's sight goes the way of what is in sight; neighbours change alike during refinement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

from offline.gaussian_layer import Layer, join, surface_layer
from offline.refine.coupling import color_prior, with_followed_changes
from offline.refine.photometric import RefineConfig, refine_layer
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
    return surface_layer(
        corners.mean(1),
        normals,
        np.full(len(rows), 0.006),
        np.full((len(rows), 3), GREY),
        Region.SKIN,
        triangles=rows,
    )


def test_what_the_photo_does_not_show_takes_the_change_of_what_it_shows(
    skin: Layer, mean_head: PhotoGeometry
) -> None:
    drawn = contributions(skin.gaussians, mean_head.camera)
    brighter = np.repeat(np.where(drawn[:, None] > 0.1, GREY + 0.1, GREY), 3, axis=1).astype(
        np.float32
    )
    changed = replace(skin, gaussians=replace(skin.gaussians, colors=brighter))
    followed = with_followed_changes(skin, changed, mean_head, mean_head.camera).gaussians.colors[
        :, 0
    ]
    well = drawn > np.median(drawn[drawn > 0])
    np.testing.assert_allclose(followed[well], GREY + 0.1, atol=0.01)
    hidden = np.flatnonzero(drawn < 0.1)
    distance = KDTree(skin.gaussians.means[well]).query(skin.gaussians.means[hidden])[0]
    near, far = hidden[distance < 0.015], hidden[distance > 0.05]
    assert min(len(near), len(far)) > 10
    assert followed[near].mean() > GREY + 0.05
    assert followed[far].mean() < followed[near].mean()


def test_what_nothing_changed_stays(skin: Layer, mean_head: PhotoGeometry) -> None:
    same = with_followed_changes(skin, skin, mean_head, mean_head.camera)
    np.testing.assert_allclose(same.gaussians.colors, skin.gaussians.colors, atol=1e-6)
    back = replace(skin, regions=np.full(len(skin), int(Region.HAIR), np.uint8))
    assert with_followed_changes(back, back, mean_head, mean_head.camera) is back


def test_the_prior_is_symmetric_and_measures_only_differences_of_sure_colours(
    skin: Layer, mean_head: PhotoGeometry
) -> None:
    form = color_prior(skin, mean_head)
    assert form.shape == (len(skin), len(skin))
    assert abs(form - form.T).max() < 1e-9
    np.testing.assert_allclose(form @ np.ones((len(skin), 3), np.float32), 0, atol=1e-7)
    bumpy = np.random.default_rng(0).normal(size=(len(skin), 3)).astype(np.float32)
    assert float((bumpy * (form @ bumpy)).sum()) > 0


def test_doubtful_neighbours_are_tied_more_firmly(skin: Layer, mean_head: PhotoGeometry) -> None:
    doubtful = replace(skin, color_freedom=np.full(len(skin), 0.3, np.float32))
    firm, loose = (
        color_prior(doubtful, mean_head).diagonal().sum(),
        color_prior(skin, mean_head).diagonal().sum(),
    )
    assert firm > 20 * loose


def test_teeth_and_lips_change_together_with_their_like_but_not_with_each_other(
    skin: Layer, mean_head: PhotoGeometry
) -> None:
    mouth = np.array([0.0, -0.065, 0.01]) @ mean_head.R_cam_head.T + mean_head.t_cam_head
    row = np.stack([np.linspace(-0.02, 0.02, 40), np.zeros(40), np.zeros(40)], 1) + mouth
    facing = np.tile([0.0, 0.0, -1.0], (40, 1))
    teeth = surface_layer(row, facing, np.full(40, 0.001), np.full((40, 3), 0.8), Region.TEETH)
    lips = surface_layer(
        row + np.array([0, 0.002, 0]),
        facing,
        np.full(40, 0.001),
        np.full((40, 3), 0.6),
        Region.LIPS,
        triangles=np.full(40, np.flatnonzero(mean_head.rig.parts == Part.SKIN)[0]),
    )
    form = color_prior(join(skin, teeth, lips), mean_head)[len(skin) :, len(skin) :].toarray()
    plain = color_prior(skin, mean_head).diagonal()
    # Surely seen skin is tied loosely, teeth are not
    assert form.diagonal()[:40].min() > 2 * np.median(plain)
    assert np.abs(form[:40, 40:]).max() < 1e-3 * form.diagonal().max()


def test_only_doubtful_colours_are_held_to_the_completed_ones(
    skin: Layer, mean_head: PhotoGeometry
) -> None:
    alike = np.ones((len(skin), 3))
    doubtful = replace(skin, color_freedom=np.full(len(skin), 0.4, np.float32))
    free, held = (
        float((alike * (color_prior(layer, mean_head) @ alike)).sum()) for layer in (skin, doubtful)
    )
    assert abs(free) < 1e-3
    assert held > 0.3


@pytest.mark.slow
def test_coupled_colours_come_out_smoother(skin: Layer, mean_head: PhotoGeometry) -> None:
    doubtful = replace(skin, color_freedom=np.full(len(skin), 0.4, np.float32))
    camera = mean_head.camera
    shape = (camera.height, camera.width)
    image = np.random.default_rng(0).uniform(0.2, 0.8, (*shape, 3)).astype(np.float32)
    alpha = mean_head.seen.covered.astype(np.float32)
    form, center = color_prior(doubtful, mean_head), mean_head.t_cam_head
    roughness: list[float] = []
    for coupling in (0.0, 3.0):
        config = RefineConfig(iterations=20, coupling=coupling)
        fitted = refine_layer(
            doubtful,
            camera,
            image,
            alpha,
            np.ones(shape, np.float32),
            center,
            prior=form,
            config=config,
            progress=lambda _: None,
        )
        change = fitted.gaussians.colors - doubtful.gaussians.colors
        roughness.append(float((change * (form @ change)).sum()))
    assert roughness[1] < 0.7 * roughness[0]
