"""An avatar is drawn with known expressions and poses, the picture is tracked: what went in must come out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from perse_live.arrays import Float32Array, FloatArray
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.follow import FaceFollower
from perse_live.head.expressions import expression, index
from perse_live.head.landmarks import FaceShape, load_landmark_model
from perse_live.head.rig import gaze_from_expression
from perse_live.rotations import to_axis_angle
from runtime.stage import Motion, Stage, facing_pose
from runtime.tracker import KnownFaceTracker, TrackedFrame

pytestmark = pytest.mark.slow

FRAMES = 24
Strength = Callable[[float], Float32Array]
ACTIONS: dict[
    str, tuple[Strength, str, float]
] = {  # what is drawn, what is looked for, and how far that must swing at least
    "jaw": (lambda s: expression(jawOpen=0.8 * s), "jawOpen", 0.3),
    "smile": (
        lambda s: expression(mouthSmileLeft=0.9 * s, mouthSmileRight=0.9 * s),
        "mouthSmileLeft",
        0.25,
    ),
    "blink": (lambda s: expression(eyeBlinkLeft=s, eyeBlinkRight=s), "eyeBlinkRight", 0.25),
    "brow": (
        lambda s: expression(browInnerUp=s, browOuterUpLeft=s, browOuterUpRight=s),
        "browOuterUpLeft",
        0.2,
    ),
    "pucker": (
        lambda s: expression(mouthPucker=0.9 * s),
        "mouthPucker",
        0.05,
    ),  # she smiles in her photo: little is left of it
}


@pytest.fixture(scope="module")
def loop(astronaut_avatar: Avatar) -> Callable[[list[Motion]], list[TrackedFrame]]:
    """Draws motions and tracks the pictures."""
    avatar = astronaut_avatar
    camera = avatar.source.camera
    stage = Stage(avatar, camera, threads=2)
    shape = FaceShape(neutral_landmarks(avatar), avatar.rig.eye_centers, avatar.rig.eye_radius)

    def run(motions: list[Motion]) -> list[TrackedFrame]:
        tracker = KnownFaceTracker(shape, load_landmark_model(), camera=camera)
        tracked: list[TrackedFrame] = []
        with FaceFollower() as follower:
            for i, motion in enumerate(motions):
                picture = stage.draw(motion, background=(0.7, 0.7, 0.7)).copy()
                frame = tracker.update(follower.update(picture, i / 25), i / 25)
                assert frame is not None
                tracked.append(frame)
        return tracked

    return run


def swing() -> FloatArray:
    """0 to 1 and back, twice, slowly enough for a detector that follows faces."""
    return 0.5 - 0.5 * np.cos(np.linspace(0, 4 * np.pi, FRAMES))


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_that_is_drawn_is_found(
    action: str, astronaut_avatar: Avatar, loop: Callable[[list[Motion]], list[TrackedFrame]]
) -> None:
    make, name, least = ACTIONS[action]
    pose = facing_pose(astronaut_avatar)
    drawn = [make(float(s)) for s in swing()]
    found = loop([Motion(one, gaze_from_expression(one), pose) for one in drawn])
    given = np.array([one[index(name)] for one in drawn])
    got = np.array([frame.expression[index(name)] for frame in found])
    assert np.corrcoef(given, got)[0, 1] > 0.8
    assert np.ptp(got) > least


def test_a_wink_that_is_drawn_is_found_in_one_eye(
    astronaut_avatar: Avatar, loop: Callable[[list[Motion]], list[TrackedFrame]]
) -> None:
    pose, still = facing_pose(astronaut_avatar), np.zeros((2, 2), np.float32)
    found = loop([Motion(expression(eyeBlinkLeft=0.8 * s), still, pose) for s in swing()])
    blinks = np.array(
        [
            [frame.expression[index(name)] for name in ("eyeBlinkLeft", "eyeBlinkRight")]
            for frame in found
        ]
    )
    # Of 0.8; the rest is squint. The detector's own scores count as a blink from here on too
    assert blinks[:, 0].max() > 0.5
    assert blinks[np.argmax(blinks[:, 0]), 1] < 0.1


def test_gaze_that_is_drawn_is_found(
    astronaut_avatar: Avatar, loop: Callable[[list[Motion]], list[TrackedFrame]]
) -> None:
    pose = facing_pose(astronaut_avatar)
    yaws = 0.35 * np.sin(np.linspace(0, 4 * np.pi, FRAMES))
    gazes = [np.array([[yaw, 0], [yaw, 0]], np.float32) for yaw in yaws]
    found = loop([Motion(expression(), gaze, pose) for gaze in gazes])
    got = np.array([frame.gaze[:, 0].mean() for frame in found])
    assert np.corrcoef(yaws, got)[0, 1] > 0.8
    assert np.ptp(got) > 0.25


def test_turns_that_are_drawn_are_found(
    astronaut_avatar: Avatar, loop: Callable[[list[Motion]], list[TrackedFrame]]
) -> None:
    still = expression()
    angles = [
        (20 * np.sin(t), 8 * np.sin(2 * t), 10 * np.sin(t + 1))
        for t in np.linspace(0, 2 * np.pi, FRAMES)
    ]
    poses = [
        facing_pose(astronaut_avatar, yaw=yaw, pitch=pitch, roll=roll)
        for yaw, pitch, roll in angles
    ]
    found = loop([Motion(still, gaze_from_expression(still), pose) for pose in poses])
    apart = [
        to_axis_angle(frame.R_cam_head @ pose.R_cam_head.T)
        for frame, pose in zip(found, poses, strict=True)
    ]
    # A detector sees a drawn head a little differently than a photo: a constant
    apart = np.array(apart) - np.mean(apart, 0)
    assert np.degrees(np.linalg.norm(apart, axis=1).mean()) < 3
