from __future__ import annotations

import numpy as np

from offline.images import dilate, erode
from offline.lift.clothes import (
    backing_layer,
    dressed_pixels,
    with_narrow_strips,
    without_strips,
)
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.template_regions import CHIN_HEIGHT
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


def test_the_collar_behind_the_neck_shows_neither_before_its_side_nor_at_the_outline(
    mean_head: PhotoGeometry,
) -> None:
    columns, rows = np.arange(512)[None], np.arange(512)[:, None]
    person = (np.abs(columns - 256) < 85) | (rows > 360)  # wider than the rig's neck
    clothes = person & (rows > 330 + np.maximum(0, 90 - np.abs(columns - 256)) // 2)
    ones = np.ones((512, 512), np.float32)
    colors = np.where(clothes[..., None], np.float32(0.1), np.float32(0.8)).repeat(3, 2)
    skin, dressed = (mask.astype(np.float32) for mask in (person & ~clothes, clothes))
    look = Appearance(
        colors, person.astype(np.float32), skin, ones, 0 * ones, dressed, colors, ones < 0, ones > 0
    )
    depth = np.full((512, 512), mean_head.neck_axis(CHIN_HEIGHT)[2] - 0.02, np.float32)
    layer = backing_layer(mean_head, look, depth, 1.0, np.random.default_rng(0))
    x, y = mean_head.camera.project(layer.gaussians.means).astype(int).T
    beside = ~dilate(clothes, 2)[y, x] & ~mean_head.seen.covered[y, x]
    assert beside.sum() > 10
    behind = mean_head.neck_axis(CHIN_HEIGHT)[2]
    assert (layer.gaussians.means[beside, 2] > behind).all()
    assert (layer.gaussians.means[erode(clothes, 2)[y, x], 2] > depth[0, 0] + 0.001).all()
    assert not (clothes[y, x] & (np.abs(x - 256) > 150)).any()
