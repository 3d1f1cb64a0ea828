from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from motions import FACING, degrees_between, turned

from perse_live.head import landmarks as lm
from perse_live.head.expressions import index
from runtime.live.gains import Gains, strengthened
from runtime.presence import at_rest

GAIN = st.floats(0, 2)
ANY_GAINS = st.builds(Gains, GAIN, GAIN, GAIN, GAIN)
ANGLE = st.floats(-85, 85)
REST = at_rest(np.zeros(3, np.float32))


@given(
    st.floats(-17, 17),
    st.floats(-17, 17),
    st.floats(-17, 17),
    st.floats(0, 1),
    st.floats(-0.003, 0.003),
    st.floats(-0.05, 0.05),
    st.floats(-0.01, 0.01),
)
def test_at_1_small_motions_pass_as_they_are(
    yaw: float,
    pitch: float,
    roll: float,
    strength: float,
    shift: float,
    gaze: float,
    residual: float,
) -> None:
    motion = turned(yaw, pitch, roll, strength=strength, shift=shift, gaze=gaze, residual=residual)
    passed = strengthened(motion, Gains())
    np.testing.assert_allclose(passed.expression, motion.expression, atol=1e-6)
    np.testing.assert_allclose(passed.R_cam_head, motion.R_cam_head, atol=1e-5)
    np.testing.assert_allclose(passed.t_cam_head, motion.t_cam_head, rtol=0.003)
    np.testing.assert_allclose(passed.gaze, motion.gaze, rtol=0.005)
    assert passed.residual is motion.residual


@given(
    ANGLE,
    ANGLE,
    ANGLE,
    st.floats(0, 1),
    st.floats(-2, 2),
    st.floats(-2, 2),
    ANY_GAINS,
    st.floats(0, 0.5),
)
def test_whatever_is_tracked_stays_within_what_an_avatar_can_show(
    yaw: float,
    pitch: float,
    roll: float,
    strength: float,
    shift: float,
    gaze: float,
    gains: Gains,
    dead: float,
) -> None:
    shown = strengthened(
        turned(yaw, pitch, roll, strength=strength, shift=shift, gaze=gaze), gains, dead_zone=dead
    )
    assert degrees_between(shown, REST) <= 48.1
    np.testing.assert_allclose(shown.R_cam_head @ shown.R_cam_head.T, np.eye(3), atol=1e-5)
    assert (np.abs(shown.t_cam_head) <= [0.0801, 0.0351, 0.1201]).all()
    assert np.abs(shown.gaze).max() <= 0.5201
    assert shown.expression.min() >= 0 and shown.expression.max() <= 1
    for array in (shown.expression, shown.R_cam_head, shown.t_cam_head, shown.gaze, shown.residual):
        assert array.dtype == np.float32


@given(st.floats(0, 84), st.floats(0.05, 1))
def test_who_turns_farther_is_seen_to_turn_farther(angle: float, more: float) -> None:
    less, farther = (
        degrees_between(strengthened(turned(degrees), Gains()), REST)
        for degrees in (angle, angle + more)
    )
    assert farther > less


@pytest.mark.parametrize(
    ("region", "moved"), [("brows", "browInnerUp"), ("eyes", "eyeBlinkLeft"), ("mouth", "jawOpen")]
)
def test_a_region_is_strengthened_alone(region: str, moved: str) -> None:
    motion = turned(10, strength=0.3, shift=0.01, gaze=0.1, residual=0.002)
    names = {"brows": "browInnerUp", "eyes": "eyeBlinkLeft", "mouth": "jawOpen"}
    for gain in (0.0, 2.0):
        shown = strengthened(motion, Gains(**{region: gain}))
        assert shown.expression[index(moved)] == pytest.approx(0.3 * gain)
        for other, name in names.items():
            if other != region:
                assert shown.expression[index(name)] == pytest.approx(0.3)
        np.testing.assert_allclose(shown.R_cam_head, motion.R_cam_head, atol=1e-5)
        points = {"brows": lm.LEFT_BROW[0], "eyes": lm.IRIS[0], "mouth": 13}
        for other, point in points.items():
            np.testing.assert_allclose(
                shown.residual[point], 0.002 * (gain if other == region else 1), atol=1e-7
            )
        looks = shown.gaze[0, 0]
        assert looks == 0 if (region, gain) == ("eyes", 0.0) else looks > 0.08


def test_the_heads_gain_scales_turn_and_shift_and_nothing_else() -> None:
    motion = turned(10, strength=0.3, shift=0.002, gaze=0.1, residual=0.002)
    still, double = (strengthened(motion, Gains(head=gain)) for gain in (0.0, 2.0))
    np.testing.assert_allclose(still.R_cam_head, FACING, atol=1e-6)
    assert not still.t_cam_head.any()
    assert degrees_between(double, REST) == pytest.approx(20, abs=0.05)
    np.testing.assert_allclose(double.t_cam_head, 0.004, rtol=0.01)
    for shown in (still, double):
        np.testing.assert_allclose(shown.expression, motion.expression, atol=1e-6)
        np.testing.assert_allclose(shown.residual, motion.residual)


@given(st.floats(0, 1), st.floats(0, 0.5))
def test_in_the_dead_zone_is_rest_and_full_strength_loses_nothing(
    strength: float, dead: float
) -> None:
    shown = strengthened(turned(0, strength=strength), Gains(), dead_zone=dead).expression
    if np.float32(strength) <= np.float32(dead):
        assert shown.max() <= 1e-6
    assert shown.max() <= strength + 1e-6
    assert strengthened(
        turned(0, strength=1.0), Gains(), dead_zone=dead
    ).expression.min() == pytest.approx(1)
