from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.data import astronaut

from attribute_toys import toy_attribute
from perse_live.arrays import BoolArray, UInt8Array
from perse_live.attribute_blending import with_attributes
from perse_live.evaluation.fades import STEPS, belonging, distance, fade_scores, part_of
from toys import toy_avatar

FIRST = np.ascontiguousarray(astronaut()[:240, 100:340])
PART: BoolArray = np.zeros((240, 240), np.bool_)
PART[60:180, 60:180] = True


def faded(shares: np.ndarray, *, last: UInt8Array) -> list[UInt8Array]:
    return [
        np.rint((1 - share) * FIRST.astype(float) + share * last).astype(np.uint8)
        for share in shares
    ]


def recoloured() -> UInt8Array:
    last = FIRST.copy()
    last[PART] = 255 - last[PART]
    return last


def test_a_cross_fade_is_even_straight_and_just_as_sharp_as_itself() -> None:
    scores = fade_scores(faded(np.linspace(0, 1, STEPS + 1), last=recoloured()), PART)
    assert scores.outside_psnr == 60
    assert scores.part_share == pytest.approx(0.25)
    assert scores.step_ratio == pytest.approx(1, abs=0.1)
    assert scores.sharpness == pytest.approx(scores.crossfade_sharpness, rel=0.05)
    assert scores.crossfade_sharpness < 0.6  # a picture and its negative cancel out
    assert scores.pdv < 0.5
    assert scores.detour == pytest.approx(1, abs=0.1)


def test_a_jump_is_seen() -> None:
    scores = fade_scores(faded((np.arange(STEPS + 1) > 7).astype(float), last=recoloured()), PART)
    assert scores.step_ratio == pytest.approx(STEPS)
    assert scores.pdv == pytest.approx(100 * (STEPS - 1), rel=1e-3)


def test_there_and_back_and_there_again_is_a_detour() -> None:
    way = np.concatenate([np.linspace(0, 1, 8), np.linspace(0.9, 0, 6), np.linspace(0.1, 1, 7)])
    assert fade_scores(faded(way, last=recoloured()), PART).detour > 2.5


def test_in_betweens_that_move_stay_sharp_where_a_cross_fade_is_double() -> None:
    pictures = [np.ascontiguousarray(astronaut()[k : 240 + k, 100:340]) for k in range(STEPS + 1)]
    scores = fade_scores(pictures, PART)
    assert scores.sharpness == pytest.approx(1, abs=0.1)
    assert scores.crossfade_sharpness < 0.85


def test_what_changes_outside_the_part_is_told() -> None:
    last = recoloured()
    last[:20] = 255 - last[:20]
    assert fade_scores([FIRST] * STEPS + [last], PART).outside_psnr < 20


def test_an_attribute_that_changes_nothing_has_figures_too() -> None:
    scores = fade_scores([FIRST] * (STEPS + 1), PART)
    assert (scores.step_ratio, scores.pdv, scores.path_length, scores.detour) == (1, 0, 0, 1)
    with pytest.raises(ValueError, match="3 pictures of a fade; pass 21"):
        fade_scores([FIRST] * 3, PART)


def test_distance_is_symmetric_grows_and_is_nothing_for_equals() -> None:
    grey = np.full((64, 64, 3), 100, np.uint8)
    assert distance(FIRST, FIRST) == 0
    assert distance(grey, grey + np.uint8(51)) == pytest.approx(0.2)
    assert distance(FIRST, recoloured()) == pytest.approx(distance(recoloured(), FIRST))


def test_gaussians_that_an_attribute_touches_belong_to_it_and_no_others() -> None:
    avatar = toy_avatar()
    attribute = toy_attribute(avatar, "toy", "hat", changed=40, moved=0, on_surface=50, free=20)
    blended = with_attributes(avatar, (attribute,), {"toy": 1.0})
    ours = belonging(avatar, blended)
    on, free = len(avatar.surface.triangles), len(avatar.rigid.means)
    base = np.concatenate([ours[:on], ours[on + 50 : on + 50 + free]])
    assert ours[on : on + 50].all() and ours[-20:].all()
    np.testing.assert_array_equal(np.nonzero(base)[0], np.sort(attribute.ids))
    assert not belonging(avatar, avatar).any()
    bent = avatar.rig.vertices.copy()
    bent[avatar.rig.triangles[avatar.surface.triangles[0], 0]] += 0.002
    moved = belonging(avatar, replace(avatar, rig=replace(avatar.rig, vertices=bent)))
    assert moved[0] and moved.sum() < 0.05 * len(avatar)


def test_the_part_is_where_either_picture_shows_it_and_a_little_more() -> None:
    off, on = np.zeros((50, 50, 3), np.uint8), np.zeros((50, 50, 3), np.uint8)
    off[10, 10], on[40, 40] = 200, 200
    part = part_of([off, on])
    assert part[10, 10] and part[40, 40] and part[10, 14] and not part[10, 16]
