from __future__ import annotations

import numpy as np

from offline.lift.clothes import (
    dressed_pixels,
    with_narrow_strips,
    without_strips,
)
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
