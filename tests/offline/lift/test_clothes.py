from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.gaussian_layer import COVERAGE
from offline.lift.clothes import (
    body_layer,
    dressed_pixels,
    with_narrow_strips,
    without_strips,
)
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


def _low(mean_head: PhotoGeometry, row: float) -> PhotoGeometry:
    """The average head so far down that its eyes lie in a row."""
    return photo_geometry(
        replace(mean_head.camera, cy=row),
        mean_head.rig,
        mean_head.rig.vertices,
        mean_head.R_cam_head,
        mean_head.t_cam_head,
        mean_head.template,
    )


def test_shoulders_below_the_photo_are_fine_only_where_it_ends(mean_head: PhotoGeometry) -> None:
    geometry = _low(mean_head, 400.0)  # the photo ends at the throat
    ones, colors = np.ones((512, 512), np.float32), np.full((512, 512, 3), 0.5, np.float32)
    nowhere, valid = np.zeros((512, 512), np.bool_), np.ones((512, 512), np.bool_)
    valid[506:] = False
    look = Appearance(colors, ones, ones, ones, 0 * ones, 0 * ones, colors, nowhere, valid)
    body = body_layer(
        geometry, look, 2 * ones, 0 * ones, ones < 0, True, 1.0, np.random.default_rng(0)
    )
    spacing = body.gaussians.scales[:, 0] / (1.3 * COVERAGE) * geometry.pixels_per_metre
    rows = geometry.camera.project(body.gaussians.means)[:, 1]
    assert np.median(spacing[(rows > 505) & (rows < 518)]) < 4
    assert (rows > 600).sum() > 200
    assert np.median(spacing[rows > 600]) > 6


def test_made_up_shoulders_go_on_beside_a_thin_neck(mean_head: PhotoGeometry) -> None:
    """Else the collar at the nape, which the neck hides in the photo, floats above them when the head turns."""
    geometry = _low(mean_head, 340.0)
    ones, colors = np.ones((512, 512), np.float32), np.full((512, 512, 3), 0.5, np.float32)
    nowhere, valid = np.zeros((512, 512), np.bool_), np.ones((512, 512), np.bool_)
    valid[511:] = False
    alpha = ones.copy()
    alpha[400:, :190] = alpha[400:, 320:] = 0
    look = Appearance(colors, alpha, ones, ones, 0 * ones, 0 * ones, colors, nowhere, valid)
    body = body_layer(
        geometry, look, 2 * ones, 0 * ones, ones < 0, True, 1.0, np.random.default_rng(0)
    )
    x, y = geometry.camera.project(body.gaussians.means).T
    beside = (x < 205) & (x > 150)
    below, above = (
        (beside & (y > low) & (y < high)).sum() for low, high in ((500, 525), (460, 485))
    )
    assert above > 0.3 * below > 0


def test_a_spot_in_the_midst_of_a_throat_is_no_clothes() -> None:
    person = np.ones((512, 512), np.float32)
    clothes = np.zeros((512, 512), np.float32)
    clothes[320:] = clothes[230:250, 230:270] = 1
    colors = np.where(clothes[..., None] > 0, np.float32(0.2), np.float32(0.8)).repeat(3, 2)
    valid = person > 0
    look = Appearance(
        colors, person, 1 - clothes, person, 0 * person, clothes, colors, ~valid, valid
    )
    dressed = dressed_pixels(look, 200.0, 1.0)
    assert dressed[330:].all()
    assert not dressed[:300].any()


def test_a_shoulder_that_the_photo_shows_bare_has_no_shirt_behind_it(
    mean_head: PhotoGeometry,
) -> None:
    geometry = _low(mean_head, 150.0)
    person = np.ones((512, 512), np.float32)
    right_half = np.arange(512)[None] >= 256
    below = np.arange(512)[:, None] > 260
    clothes = (right_half & below).astype(np.float32)
    colors = np.where(clothes[..., None] > 0, np.float32(0.1), np.float32(0.8)).repeat(3, 2)
    valid = person > 0
    look = Appearance(
        colors, person, 1 - clothes, person, 0 * person, clothes, colors, ~valid, valid
    )
    body = body_layer(
        geometry, look, 0 * person, clothes, clothes > 0, False, 1.0, np.random.default_rng(0)
    )
    x, y = geometry.camera.project(body.gaussians.means).T
    light = body.gaussians.colors.mean(1)
    low = y > 300
    assert np.median(light[low & (x > 290)]) < 0.2
    assert light[low & (x < 220)].min() > 0.5
