from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array
from perse_live.rotations import from_euler_degrees
from runtime.secondary_motion import SecondaryMotion, breath_at

FACING = np.diag([1.0, -1.0, -1.0])
PITCH, YAW, ROLL, BREATH = range(4)


def pose(*, yaw: float = 0, pitch: float = 0, roll: float = 0, right: float = 0) -> HeadPose:
    rotation = (FACING @ from_euler_degrees(yaw, pitch, roll)).astype(np.float32)
    return HeadPose(rotation, np.array([right, 0, 0.8], np.float32), rotation)


def played(move: Callable[[float], HeadPose], *, seconds: float, fps: float) -> Float32Array:
    """Secondary motion at each frame, (N, 4)."""
    secondary = SecondaryMotion()
    return np.stack([secondary.update(move(k / fps), k / fps) for k in range(round(seconds * fps))])


def step(time: float) -> float:
    """0, then 1 from half a second on, within 0.2 s."""
    share = min(max((time - 0.5) / 0.2, 0), 1)
    return share * share * (3 - 2 * share)


def test_a_head_that_rests_moves_nothing_but_the_chest() -> None:
    found = played(lambda _: pose(yaw=20, roll=5), seconds=5, fps=30)
    np.testing.assert_allclose(found[:, :BREATH], 0, atol=1e-6)
    assert found[:, BREATH].min() < 0.02 and found[:, BREATH].max() > 0.98
    assert np.abs(np.diff(found[:, BREATH])).max() < 0.05


@pytest.mark.parametrize(
    ("move", "which", "sign"),
    [
        (
            lambda time: pose(right=0.05 * step(time)),
            ROLL,
            -1,
        ),  # the head goes to the picture's right, hair stays to its left
        (lambda time: pose(yaw=30 * step(time)), YAW, -1),
        (lambda time: pose(roll=20 * step(time)), ROLL, -1),
        (lambda time: pose(pitch=20 * step(time)), PITCH, -1),
    ],
)
def test_hair_lags_swings_and_comes_to_rest(
    move: Callable[[float], HeadPose], which: int, sign: int
) -> None:
    found = played(move, seconds=4, fps=60)
    early, later = found[30:42, which], found[42:90, which]
    assert np.abs(found[:30, :BREATH]).max() < 1e-6
    assert (sign * early).max() > 0.03  # behind the head while it moves
    assert (sign * later).min() < -0.01  # beyond it afterwards
    assert np.abs(found[-30:, :BREATH]).max() < 0.004
    assert np.abs(found[:, :BREATH]).max() < 0.4


def test_the_motion_is_the_same_at_any_frame_rate() -> None:
    slow, fast = (
        played(lambda time: pose(yaw=25 * step(time), right=0.03 * step(time)), seconds=3, fps=fps)
        for fps in (30, 240)
    )
    np.testing.assert_allclose(slow[:, :BREATH], fast[::8, :BREATH], atol=0.03)
    np.testing.assert_allclose(slow[:, BREATH], fast[::8, BREATH], atol=1e-5)


def test_it_depends_on_poses_and_times_only() -> None:
    def dance(time: float) -> HeadPose:
        return pose(
            yaw=30 * np.sin(5 * time), pitch=10 * np.cos(3 * time), right=0.1 * np.sin(8 * time)
        )

    np.testing.assert_array_equal(
        played(dance, seconds=2, fps=25), played(dance, seconds=2, fps=25)
    )


def test_jumps_and_pauses_do_not_whip() -> None:
    secondary = SecondaryMotion()
    secondary.update(pose(), 0.0)
    assert np.abs(secondary.update(pose(right=3.0, yaw=90), 1 / 30)[:BREATH]).max() <= 0.4
    np.testing.assert_array_equal(secondary.update(pose(right=-3.0), 5.0)[:BREATH], 0)
    again = secondary.update(pose(right=-3.0), 5.0)  # the same time twice
    np.testing.assert_array_equal(again[:BREATH], 0)
    np.testing.assert_array_equal(secondary.update(pose(), 1.0)[:BREATH], 0)  # time that goes back


def test_breath_is_smooth_and_repeats() -> None:
    times = np.linspace(0, 8.6, 2000)
    values = np.array([breath_at(time) for time in times])
    assert values.min() == 0 and values.max() > 0.999
    assert np.abs(np.diff(values)).max() < 0.01
    np.testing.assert_allclose(
        values[:1000], [breath_at(time + 4.3) for time in times[:1000]], atol=1e-9
    )
