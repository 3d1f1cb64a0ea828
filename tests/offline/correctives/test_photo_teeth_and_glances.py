"""Teeth of the photo come with its smile; when the eye turns, the iris in the veil goes and the white is lit; an iris has a
round pupil and leaves its reflections to the light.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.correctives.glances import (
    in_iris_radii,
    iris_centre,
    with_clear_irises,
    with_glances,
    with_pupils,
)
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
    assert [one.name for one in components] == ["glance-aside", "glance-up-down"]

    def features(yaw: float, pitch: float) -> np.ndarray:
        return feature_values(components, expression(), np.array([[yaw, pitch]] * 2, np.float32))

    for still in (_AHEAD, gaze):
        np.testing.assert_allclose(feature_values(components, expression(), still), 0, atol=1e-6)
    far = max(abs(left), abs(right)) + 0.3
    for side in (-1, 1):
        np.testing.assert_allclose(features(side * far, 0), [1, 0], atol=1e-6)
        np.testing.assert_allclose(features(0, side * 0.4), [0, 1], atol=1e-6)
        np.testing.assert_allclose(features(side * far, side * 0.4), [1, 0], atol=1e-6)
    assert not len(made.correctives.deltas)  # it has no veil
    assert not (avatar.regions == Region.LASHES).any()


def _angle(avatar: Avatar, eye: int) -> np.ndarray:
    """Radians (G,) of Gaussians from the line of sight at rest."""
    out = places_at_rest(avatar).astype(np.float64) - avatar.rig.eye_centers[eye]
    return np.arctan2(np.hypot(out[:, 0], out[:, 1]), out[:, 2])


@pytest.mark.slow
def test_the_white_comes_out_of_the_shadow_of_the_corners(astronaut_avatar: Avatar) -> None:
    aside = np.abs(astronaut_avatar.source.gaze).max() + np.full((2, 2), 0.3, np.float32)
    ahead, turned = (
        corrected(astronaut_avatar, expression(), gaze).colors.mean(1) for gaze in (_AHEAD, aside)
    )
    for eye, part in enumerate(EYES):
        angle, ball = _angle(astronaut_avatar, eye), on_part(astronaut_avatar, part)
        white = ball & (angle > 0.9) & (angle < 1.3)
        assert white.any()
        assert 1.1 < np.median(turned[white] / ahead[white]) < 1.35


@pytest.mark.slow
def test_an_iris_has_a_round_pupil_and_its_reflection_stays_with_the_light(
    astronaut_avatar: Avatar,
) -> None:
    colors, irises = astronaut_avatar.colors.copy(), []
    for eye in range(2):
        ball, flat = in_iris_radii(astronaut_avatar, eye)
        ring = np.linalg.norm(flat, axis=1)
        for far, brightness in ((9.0, 0.8), (1.0, 0.3), (0.35, 0.05)):
            colors[ball[ring < far]] = brightness
        spot = (ring < 0.5) & (flat > 0).all(1)
        colors[ball[spot]] = 0.9
        irises.append((ball, ring, spot))
    made = with_clear_irises(replace(astronaut_avatar, colors=colors))
    added = len(made) - len(astronaut_avatar)
    spots = sum(int(spot.sum()) for _, _, spot in irises)
    assert 0 < added <= spots and made.colors[-added:].mean() > 0.8
    assert len(made.rigid.means) - len(astronaut_avatar.rigid.means) == added
    for eye, (ball, ring, _) in enumerate(irises):
        inner, tissue = (
            made.colors[ball[(ring > low) & (ring < high)]] for low, high in ((0, 0.25), (0.5, 0.9))
        )
        assert inner.max() < 0.15 < 0.2 < tissue.min() <= tissue.max() < 0.4
        away = made.rigid.means[-added:] - astronaut_avatar.rig.eye_centers[eye]
        lies = np.linalg.norm(away, axis=1) / astronaut_avatar.rig.eye_radius
        assert (np.abs(lies - 1) < 0.05).any()


@given(st.floats(0.2, 0.5), st.floats(0.1, 0.6))
def test_a_pupil_is_as_large_as_it_is_seen_and_both_are_alike(size: float, iris: float) -> None:
    rings = 0.1 * np.arange(1, 15)
    seen = np.where(rings < size, 0.2 * iris, iris)[:, None].repeat(3, 1)
    plain = np.full((len(rings), 3), iris)
    for tables in ([seen, seen], [plain, plain]):
        made = with_pupils(tables)
        np.testing.assert_array_equal(made[0], made[1])
        dark = rings[made[0].mean(1) < 0.5 * iris].max()
        assert abs(dark - (size if tables[0] is seen else 0.34)) < 0.12
    assert with_pupils([]) == []


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
    aside = np.abs(plain.source.gaze).max() + np.full((2, 2), 0.3, np.float32)
    turned = corrected(with_glances(plain), expression(), aside)
    assert turned.colors[: len(spot)][spot].max(1).mean() > 0.02
