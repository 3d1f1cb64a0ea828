from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.gaussian_layer import COVERAGE
from offline.lift.clothes import body_layer, strips_on_hair, with_narrow_strips, without_strips
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from offline.segment.appearance import Appearance


def _photo() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A person (H, W) whose clothes begin in row 100, three columns narrower than the person, with skin of the rig above."""
    person = np.zeros((200, 200), np.bool_)
    person[20:100, 60:140] = True
    person[100:, 40:160] = True
    bare, dressed = person.copy(), person.copy()
    bare[100:] = False
    dressed[:100] = False
    dressed[:, 157:] = False
    return person, bare, dressed


def test_a_strip_along_the_shoulder_is_clothes() -> None:
    person, bare, dressed = _photo()
    whole = with_narrow_strips(dressed, person, bare, 1.0)
    assert whole[100:, 157:160].all()
    assert not whole[bare].any()


def test_bare_shoulders_stay_bare() -> None:
    person, bare, dressed = _photo()
    dressed[:, 100:] = False
    whole = with_narrow_strips(dressed, person, bare, 1.0)
    np.testing.assert_array_equal(whole[110:, 105:], False)


def test_broad_leaves_no_strips_and_no_crumbs() -> None:
    mask = np.zeros((100, 100), np.bool_)
    mask[10:50, 10:50] = True
    mask[70:73] = True
    mask[85:90, 85:90] = True
    left = without_strips(mask, 1.0)
    assert left[10:50, 10:50].mean() > 0.98
    assert not left[60:].any()


def test_shoulders_below_the_photo_are_fine_only_where_it_ends(mean_head: PhotoGeometry) -> None:
    camera = replace(mean_head.camera, cy=400.0)  # the photo ends at the throat
    geometry = photo_geometry(
        camera,
        mean_head.rig,
        mean_head.rig.vertices,
        mean_head.R_cam_head,
        mean_head.t_cam_head,
        mean_head.template,
    )
    ones, colors = np.ones((512, 512), np.float32), np.full((512, 512, 3), 0.5, np.float32)
    nowhere, valid = np.zeros((512, 512), np.bool_), np.ones((512, 512), np.bool_)
    valid[506:] = False
    look = Appearance(colors, ones, ones, ones, ones, 0 * ones, 0 * ones, colors, nowhere, valid)
    body = body_layer(
        geometry, look, 2 * ones, 0 * ones, nowhere, True, 1.0, np.random.default_rng(0)
    )
    spacing = body.gaussians.scales[:, 0] / (1.3 * COVERAGE) * geometry.pixels_per_metre
    rows = camera.project(body.gaussians.means)[:, 1]
    assert np.median(spacing[(rows > 505) & (rows < 518)]) < 4
    assert (rows > 600).sum() > 200
    assert np.median(spacing[rows > 600]) > 6


def test_clothes_that_are_but_a_strip_along_hair_are_left_out() -> None:
    hair, clothes = np.zeros((2, 100, 100), np.bool_)
    hair[:60, 30:70] = True
    clothes[60:] = True
    clothes[20:60, 70:73] = True
    left_out = strips_on_hair(clothes, hair, 1.0)
    assert left_out[25:55, 70:73].all()
    assert not left_out[62:].any()
    assert not strips_on_hair(clothes, np.zeros_like(hair), 1.0).any()
