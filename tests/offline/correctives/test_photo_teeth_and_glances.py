"""Teeth of the photo come with its smile; when the eye turns, the iris in the veil goes, that of the ball is
even, and the white is lit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.correctives.glances import iris_centre, with_glances
from offline.correctives.photo_teeth import with_photo_teeth
from offline.looks.face.rest_positions import landmarks_on, on_part, places_at_rest
from perse_live.avatar import Avatar, corrected
from perse_live.correctives import feature_values, no_correctives
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression
from perse_live.head.rig import EYES
from perse_live.regions import Region
from toys import toy_avatar

_AHEAD = np.zeros((2, 2), np.float32)


def _smiling(strength: float) -> Avatar:
    avatar = toy_avatar(gaussians=300)
    return replace(
        avatar,
        source=replace(
            avatar.source, expression=expression(mouthSmileLeft=strength, mouthSmileRight=0.1)
        ),
    )


@given(st.floats(0.3, 1.0))
def test_the_photo_s_teeth_show_as_in_the_photo_under_its_expression_and_not_at_rest(
    smile: float,
) -> None:
    avatar = _smiling(smile)
    teeth = np.arange(len(avatar)) % 7 == 0
    made = with_photo_teeth(avatar, teeth)
    own = corrected(made, avatar.source.expression, _AHEAD)
    np.testing.assert_allclose(own.opacities, avatar.opacities, atol=0.5 / 255)
    assert made.opacities[teeth].max() == 0
    np.testing.assert_array_equal(made.opacities[~teeth], avatar.opacities[~teeth])


def test_without_a_smile_the_photo_s_teeth_stay() -> None:
    avatar = _smiling(0.1)
    assert with_photo_teeth(avatar, np.ones(len(avatar), np.bool_)) is avatar
    assert (
        with_photo_teeth(_smiling(0.9), np.zeros(len(avatar), np.bool_)).correctives.components
        == ()
    )


@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
def test_a_glance_counts_from_rest_and_from_the_photo_s_own_gaze(left: float, right: float) -> None:
    avatar = toy_avatar(gaussians=300)
    gaze = np.array([[left, 0.1], [right, 0.0]], np.float32)
    made = with_glances(replace(avatar, source=replace(avatar.source, gaze=gaze)))
    components = made.correctives.components
    assert [one.name for one in components] == ["glance-left", "glance-right"]
    for still in (_AHEAD, gaze):
        np.testing.assert_allclose(feature_values(components, expression(), still), 0, atol=1e-6)
    for aside in (np.abs(gaze) + 0.3, -np.abs(gaze) - 0.3):
        np.testing.assert_allclose(feature_values(components, expression(), aside), 1, atol=1e-6)
    assert not len(made.correctives.deltas)  # it has no veil
    assert not (avatar.regions == Region.LASHES).any()


@pytest.mark.slow
def test_the_white_comes_out_of_the_shadow_of_the_corners_and_the_iris_is_even(
    astronaut_avatar: Avatar,
) -> None:
    places = places_at_rest(astronaut_avatar).astype(np.float64)
    aside = np.abs(astronaut_avatar.source.gaze) + np.float32(0.3)
    ahead, turned = (
        corrected(astronaut_avatar, expression(), gaze).colors.mean(1) for gaze in (_AHEAD, aside)
    )
    for eye, part in enumerate(EYES):
        out = places - astronaut_avatar.rig.eye_centers[eye]
        angle = np.arctan2(np.hypot(out[:, 0], out[:, 1]), out[:, 2])
        ball = on_part(astronaut_avatar, part)
        pupil, iris, white = (
            ball & (angle > low) & (angle < high)
            for low, high in ((0, 0.05), (0.24, 0.3), (0.9, 1.3))
        )
        assert pupil.any() and iris.any() and white.any()
        np.testing.assert_allclose(turned[pupil], ahead[pupil], atol=0.01)
        assert turned[iris].std() < 0.6 * ahead[iris].std()
        assert 1.1 < np.median(turned[white] / ahead[white]) < 1.35


@given(st.floats(-0.3, 0.3), st.floats(0.02, 0.4), st.integers(0, 1000))
def test_the_centre_of_an_iris_is_where_its_edge_is_seen(
    offset: float, dark: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    flat = rng.uniform(-1.9, 1.9, (900, 2))
    ring = np.hypot(flat[:, 0] - offset, flat[:, 1])
    brightness = np.where(ring < 1, dark, 0.8) + rng.normal(0, 0.02, len(flat))
    brightness[flat[:, 1] > 0.8] = 0.1  # the lid's shadow
    found = iris_centre(flat, brightness)
    assert found is not None and abs(found - offset) < 0.1
    assert iris_centre(flat, np.full(len(flat), 0.5)) is None  # no edge


@pytest.mark.slow
def test_no_spot_of_the_iris_stays_under_the_lower_lid(astronaut_avatar: Avatar) -> None:
    places = places_at_rest(astronaut_avatar).astype(np.float64)
    marks = landmarks_on(astronaut_avatar, astronaut_avatar.rig.vertices).astype(np.float64)
    veil = (astronaut_avatar.regions == Region.LASHES) & (astronaut_avatar.opacities > 0.02)
    spot = np.zeros(len(veil), np.bool_)
    for iris, lid in (
        (lm.LEFT_IRIS, (263, *lm.LOWER_LID_LEFT, 362)),
        (lm.RIGHT_IRIS, (33, *lm.LOWER_LID_RIGHT, 133)),
    ):
        edge = marks[list(lid)]
        edge = edge[np.argsort(edge[:, 0])]
        below = np.interp(places[:, 0], edge[:, 0], edge[:, 1]) - places[:, 1]
        beside = np.abs(places[:, 0] - marks[iris[0], 0])
        spot |= veil & (beside < 0.004) & (below > 0.0012) & (below < 0.0020)
    assert spot.any()
    painted = np.where(spot[:, None], 0, astronaut_avatar.colors).astype(np.float32)
    plain = replace(astronaut_avatar, correctives=no_correctives(), colors=painted)
    aside = np.abs(plain.source.gaze) + np.float32(0.3)
    turned = corrected(with_glances(plain), expression(), aside)
    assert turned.colors[spot].max(1).mean() > 0.02
