from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypothesis_profiles import examples
from perse_live.arrays import Float32Array
from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_NAMES, index
from perse_live.head.rig import gaze_from_expression
from runtime.performance import PerformanceFrame, performance

ACTS = {"talking", "looking around", "laughing", "turning", "reacting"}


def scores(frames: tuple[PerformanceFrame, ...], name: str) -> Float32Array:
    """(N,) one action over time."""
    return np.array([frame.expression[index(name)] for frame in frames])


def turns(frames: tuple[PerformanceFrame, ...]) -> Float32Array:
    """(N, 3) yaw, pitch, roll over time, degrees."""
    return np.array([(frame.yaw, frame.pitch, frame.roll) for frame in frames], np.float32)


def during(frames: tuple[PerformanceFrame, ...], act: str) -> tuple[PerformanceFrame, ...]:
    return tuple(frame for frame in frames if frame.act == act)


@pytest.mark.slow
@examples(15)
@given(
    seconds=st.floats(4.0, 40.0),
    fps=st.sampled_from([10.0, 24.0, 29.97, 60.0]),
    seed=st.integers(0, 2**32),
)
def test_every_frame_is_one_that_a_head_can_make(seconds: float, fps: float, seed: int) -> None:
    frames = performance(seconds, fps, seed)
    assert len(frames) == round(seconds * fps)
    for frame in frames:
        assert frame.expression.shape == (len(EXPRESSION_NAMES),)
        assert frame.expression.dtype == np.float32
        assert frame.expression.min() >= 0
        assert frame.expression.max() <= 1
        assert abs(frame.yaw) < 45
        assert abs(frame.pitch) < 25
        assert abs(frame.roll) < 25
        assert np.abs(frame.translation).max() < 0.02
        assert np.abs(frame.gaze).max() < 0.5
        np.testing.assert_array_equal(frame.gaze, gaze_from_expression(frame.expression))


@examples(15)
@given(
    seconds=st.floats(4.0, 40.0),
    fps=st.sampled_from([10.0, 25.0, 60.0]),
    seed=st.integers(0, 2**32),
)
def test_it_starts_and_ends_at_rest(seconds: float, fps: float, seed: int) -> None:
    frames = performance(seconds, fps, seed)
    for frame in (frames[0], frames[-1]):
        assert frame.act == "rest"
        assert frame.expression.max() < 0.02
        assert max(abs(frame.yaw), abs(frame.pitch), abs(frame.roll)) < 0.2
        assert np.abs(frame.translation).max() < 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_nothing_jumps(seed: int) -> None:
    frames = performance(20, 240, seed)
    for name in EXPRESSION_NAMES:
        per_second = np.abs(np.diff(scores(frames, name))).max() * 240
        # lids and eyes are the fastest parts of a face: 0.08 s to shut, some 500 degrees a second for a glance
        assert per_second < (30 if name.startswith("eye") else 18), name
    assert np.abs(np.diff(turns(frames), axis=0)).max() * 240 < 200
    assert np.abs(np.diff([frame.translation for frame in frames], axis=0)).max() * 240 < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_blinks_shut_both_eyes_alike_and_come_as_often_as_they_should(seed: int) -> None:
    fps = 500
    frames = performance(30, fps, seed)
    left, right = scores(frames, "eyeBlinkLeft"), scores(frames, "eyeBlinkRight")
    np.testing.assert_array_equal(left, right)
    starts = np.flatnonzero(np.diff((left > 0.95).astype(np.int8)) == 1)
    assert 6 <= len(starts) <= 25
    assert np.diff(starts).min() > 0.5 * fps
    assert np.diff(starts).max() < 6 * fps
    for start in starts:
        closing = (left[start - 100 : start] > 0.02).sum() / fps
        opening = (left[start : start + 150] > 0.02).sum() / fps
        assert 0.04 < closing < 0.08
        assert 0.12 < opening < 0.25


@pytest.mark.parametrize("seed", range(5))
def test_lips_never_close_further_than_the_jaw_opens(seed: int) -> None:
    frames = performance(20, 60, seed)
    assert (scores(frames, "mouthClose") <= scores(frames, "jawOpen") + 1e-6).all()


@pytest.mark.parametrize("seed", range(5))
def test_all_acts_occur_and_are_what_they_are_called(seed: int) -> None:
    frames = performance(15, 60, seed)
    assert {frame.act for frame in frames} == ACTS | {"rest"}
    talking = scores(during(frames, "talking"), "jawOpen")
    openings = np.flatnonzero(
        (talking[1:-1] > talking[:-2]) & (talking[1:-1] >= talking[2:]) & (talking[1:-1] > 0.08)
    )
    assert 2 < len(openings) / (len(talking) / 60) < 9  # syllables a second
    laughing = during(frames, "laughing")
    for name in ("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "jawOpen"):
        assert scores(laughing, name).max() > 0.35, name
    yaw = turns(during(frames, "turning"))[:, 0]
    assert yaw.max() > 20
    assert yaw.min() < -20
    assert scores(during(frames, "reacting"), "browInnerUp").max() > 0.6
    assert turns(during(frames, "reacting"))[:, 1].max() > 5


@pytest.mark.parametrize("seed", range(5))
def test_eyes_lead_the_head_when_looking_around(seed: int) -> None:
    looking = during(performance(15, 120, seed), "looking around")
    yaw = turns(looking)[:, 0]
    sight = np.array([np.degrees(frame.gaze[:, 0].mean()) for frame in looking]) + yaw
    glance = np.argmax(np.abs(sight) > 14)
    head_turn = np.argmax(np.abs(yaw) > 9)
    assert 0 < glance < head_turn
    assert np.sign(sight[glance]) == np.sign(yaw[head_turn])


@pytest.mark.parametrize("seed", range(5))
def test_eyes_stay_with_the_viewer_while_the_head_turns(seed: int) -> None:
    turning = during(performance(15, 60, seed), "turning")
    yaw = turns(turning)[:, 0]
    gaze = np.array([np.degrees(frame.gaze[0, 0]) for frame in turning])
    assert np.corrcoef(yaw, gaze)[0, 1] < -0.9


def test_the_same_seed_gives_the_same_and_another_gives_another() -> None:
    first, again, other = (performance(6, 30, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal([f.expression for f in first], [f.expression for f in again])
    assert (
        np.abs(np.array([f.expression for f in first]) - [f.expression for f in other]).max() > 0.1
    )


def test_the_frame_rate_changes_nothing_but_how_often_one_looks() -> None:
    slow, fast = performance(8, 30, 3), performance(8, 60, 3)
    for a, b in zip(slow, fast[::2], strict=True):
        assert a.time == pytest.approx(b.time)
        np.testing.assert_allclose(a.expression, b.expression, atol=1e-6)
        assert (a.yaw, a.act) == (pytest.approx(b.yaw, abs=1e-6), b.act)


@pytest.mark.parametrize(
    ("seconds", "fps"), [(3.9, 30), (float("nan"), 30), (1e9, 30), (10, 5), (10, float("inf"))]
)
def test_what_cannot_be_performed_is_refused(seconds: float, fps: float) -> None:
    with pytest.raises(UserError, match="choose"):
        performance(seconds, fps)
