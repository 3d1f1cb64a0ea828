from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perse_live.errors import UserError
from perse_live.head.expressions import expression
from perse_live.head.rig import (
    HeadRig,
    Part,
    expressed,
    gaze_from_expression,
    gaze_rotation,
    triangles_of,
    vertices_of,
)

ANGLE = st.floats(-1.2, 1.2)


def small_rig() -> HeadRig:
    """Four vertices of skin, three of each eyeball."""
    rng = np.random.default_rng(0)
    vertices = rng.normal(0, 0.05, (10, 3)).astype(np.float32)
    actions = rng.normal(0, 0.01, (52, 10, 3)).astype(np.float32)
    actions[:, 4:] = 0
    triangles = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [7, 8, 9]], np.int32)
    return HeadRig(
        vertices=vertices,
        actions=actions,
        triangles=triangles,
        parts=np.array([Part.SKIN, Part.SKIN, Part.EYE_LEFT, Part.EYE_RIGHT], np.uint8),
        head_weights=np.ones(10, np.float32),
        eye_centers=np.array([[0.03, 0, 0], [-0.03, 0, 0]], np.float32),
        eye_radius=0.016,
        neck_pivot=np.array([0, -0.1, -0.1], np.float32),
    )


def test_skin_moves_by_the_sum_of_its_actions() -> None:
    rig = small_rig()
    e = expression(jawOpen=0.5, mouthSmileLeft=1.0)
    expected = rig.vertices + (rig.actions * e[:, None, None]).sum(0)
    np.testing.assert_allclose(expressed(rig, e)[:4], expected[:4], atol=1e-6)


def test_eyeballs_turn_rigidly_about_their_centres() -> None:
    rig = small_rig()
    moved = expressed(rig, expression(jawOpen=1.0), gaze=np.array([[0.4, -0.2], [0.1, 0.3]]))
    for i, ball in enumerate((slice(4, 7), slice(7, 10))):
        before, after = rig.vertices[ball] - rig.eye_centers[i], moved[ball] - rig.eye_centers[i]
        np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-6)
        assert np.abs(after - before).max() > 1e-3


def test_eyes_without_a_gaze_follow_the_expression() -> None:
    rig = small_rig()
    e = expression(eyeLookOutLeft=1.0, eyeLookInRight=1.0)
    np.testing.assert_array_equal(
        expressed(rig, e), expressed(rig, e, gaze=gaze_from_expression(e))
    )


@given(ANGLE, ANGLE)
def test_gaze_rotation_turns_ahead_into_the_gaze(yaw: float, pitch: float) -> None:
    rotation = gaze_rotation(np.array([yaw, pitch]))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    ahead = rotation @ np.array([0, 0, 1])
    np.testing.assert_allclose(
        ahead, [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], atol=1e-6
    )
    assert (rotation @ np.array([1, 0, 0]))[1] == pytest.approx(0, abs=1e-6)  # no roll


def test_looking_to_the_subjects_left_is_positive_yaw_in_both_eyes() -> None:
    gaze = gaze_from_expression(
        expression(eyeLookOutLeft=1.0, eyeLookInRight=1.0, eyeLookUpLeft=0.5, eyeLookUpRight=0.5)
    )
    assert (gaze > 0).all()
    np.testing.assert_allclose(gaze[0], gaze[1])


def test_parts_select_triangles_and_vertices() -> None:
    rig = small_rig()
    assert len(triangles_of(rig, Part.SKIN)) == 2
    assert np.nonzero(vertices_of(rig, Part.EYE_RIGHT))[0].tolist() == [7, 8, 9]


@pytest.mark.parametrize(
    "broken",
    [
        {"actions": np.zeros((51, 10, 3), np.float32)},
        {"parts": np.zeros(3, np.uint8)},
        {"triangles": np.full((4, 3), 10, np.int32)},
        {"eye_centers": np.zeros((3, 2), np.float32)},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(broken: dict[str, np.ndarray]) -> None:
    with pytest.raises(UserError, match="head rig"):
        replace(small_rig(), **broken)
