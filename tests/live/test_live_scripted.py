from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from motions import FACING, degrees_between, turned

from hypothesis_profiles import examples
from perse_live.head.expressions import index
from runtime.live.scripted import Scripted, idle_script, performance_script, turned_on_neck
from runtime.performance import idling
from runtime.presence import at_rest

PIVOT = np.array([0.0, -0.12, -0.1])
REST = at_rest(np.zeros(3, np.float32))
IDLE_SECONDS, PERFORMANCE_SECONDS = 60.0, 45.0


@pytest.fixture(scope="module")
def idle() -> Scripted:
    return idle_script(PIVOT)


@pytest.fixture(scope="module")
def acting() -> Scripted:
    return performance_script(PIVOT)


@examples(200)
@given(st.floats(0, 1e6) | st.floats(59.9, 60.1) | st.floats(44.9, 45.1))
def test_at_any_time_there_is_a_motion_without_a_jump(
    idle: Scripted, acting: Scripted, time: float
) -> None:
    for script, most in ((idle, 5.0), (acting, 45.0)):
        now, soon = script.at(time), script.at(time + 1 / 120)
        assert now.expression.min() >= 0 and now.expression.max() <= 1
        assert degrees_between(now, REST) < most
        assert np.abs(now.t_cam_head).max() < 0.12
        assert np.abs(now.gaze).max() < 0.7
        assert degrees_between(now, soon) < 1.5
        assert np.abs(soon.t_cam_head - now.t_cam_head).max() < 0.004
        blinks = [index("eyeBlinkLeft"), index("eyeBlinkRight")]
        steps = np.abs(soon.expression - now.expression)
        assert steps[blinks].max() < 0.25
        assert np.delete(steps, blinks).max() < 0.2


@given(st.integers(0, 1000), st.floats(0, 60))
def test_it_is_repeated(idle: Scripted, times: int, moment: float) -> None:
    once, again = idle.at(moment), idle.at(moment + times * IDLE_SECONDS)
    np.testing.assert_allclose(again.expression, once.expression, atol=1e-3)
    assert degrees_between(once, again) < 0.05


def test_the_seam_is_at_rest(idle: Scripted, acting: Scripted) -> None:
    for script, period in ((idle, IDLE_SECONDS), (acting, PERFORMANCE_SECONDS)):
        for moment in (0.0, period, period - 1e-9, 5 * period - 1 / 60):
            motion = script.at(moment)
            assert degrees_between(motion, REST) < 0.2
            assert motion.expression.max() < 0.06
            assert np.abs(motion.t_cam_head).max() < 1e-3


def test_who_waits_breathes_blinks_and_glances_but_does_not_act(
    idle: Scripted, acting: Scripted
) -> None:
    motions = [idle.at(i / 30) for i in range(1800)]
    shut = np.array([motion.expression[index("eyeBlinkLeft")] for motion in motions])
    blinks = int(((shut[1:] > 0.5) & (shut[:-1] <= 0.5)).sum())
    assert 10 <= blinks <= 40
    assert np.ptp([motion.t_cam_head[1] for motion in motions]) > 0.001
    assert np.ptp([motion.gaze[0, 0] for motion in motions]) > 0.03
    assert max(motion.expression[index("jawOpen")] for motion in motions) < 0.05
    assert max(acting.at(i / 30).expression[index("jawOpen")] for i in range(1350)) > 0.3


def test_idling_frames_are_evenly_spaced_and_called_rest() -> None:
    frames = idling(10.0, 25.0)
    assert len(frames) == 250
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 0.04)
    assert {frame.act for frame in frames} == {"rest"}
    for edge in (frames[0], frames[-1]):
        assert max(abs(edge.yaw), abs(edge.pitch), abs(edge.roll)) < 0.2
        assert edge.expression.max() < 0.05


@given(st.floats(-60, 60), st.floats(-40, 40))
def test_a_head_turns_about_its_neck(yaw: float, pitch: float) -> None:
    rotation = turned(yaw, pitch).R_cam_head.astype(np.float64)
    shift = turned_on_neck(rotation, PIVOT)
    np.testing.assert_allclose(rotation @ PIVOT + shift, FACING @ PIVOT, atol=1e-6)
    np.testing.assert_allclose(turned_on_neck(FACING, PIVOT), 0)
