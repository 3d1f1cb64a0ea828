"""The motion of a data set: what the head does in each frame, kept as recorded motion so that every look gets the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from offline.animation.contract import Moment
from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar, with_resting_lids
from perse_live.errors import UserError
from perse_live.files import atomic_output
from perse_live.head.expressions import expression
from perse_live.head.rig import gaze_from_expression
from perse_live.motion import MotionState
from perse_live.motion_file import MotionFrame, MotionHeader, MotionWriter, read_motion
from perse_live.poses import facing_pose
from perse_live.rotations import from_axis_angle, to_axis_angle

FPS = 25.0
"""Frames a second of the built-in motion; PERSE's clips run at 25."""
MOTION_FILE = "motion.motion"
_JOIN = 8  # frames over which one part of the motion passes into the next
_HOLD = 12  # frames from one grimace to the next
_YAW, _PITCH, _ROLL = 32.0, 14.0, 8.0  # degrees: as far as an avatar is meant to be seen
_GRIMACES = (
    expression(
        jawOpen=0.8, mouthStretchLeft=0.4, mouthStretchRight=0.4, eyeWideLeft=0.6, eyeWideRight=0.6
    ),
    expression(mouthPucker=0.9, cheekPuff=0.3),
    expression(mouthLeft=0.7, mouthSmileLeft=0.4, eyeSquintLeft=0.7, browDownLeft=0.5),
    expression(cheekPuff=0.9, mouthPressLeft=0.4, mouthPressRight=0.4, browInnerUp=0.5),
    expression(
        mouthSmileLeft=0.9,
        mouthSmileRight=0.9,
        jawOpen=0.35,
        cheekSquintLeft=0.6,
        cheekSquintRight=0.6,
    ),
    expression(
        mouthFrownLeft=0.8,
        mouthFrownRight=0.8,
        browDownLeft=0.9,
        browDownRight=0.9,
        mouthShrugLower=0.6,
    ),
    expression(mouthRight=0.7, mouthSmileRight=0.4, eyeSquintRight=0.7, browOuterUpLeft=0.8),
    expression(
        noseSneerLeft=0.8,
        noseSneerRight=0.8,
        mouthUpperUpLeft=0.6,
        mouthUpperUpRight=0.6,
        eyeSquintLeft=0.5,
        eyeSquintRight=0.5,
    ),
    expression(
        mouthFunnel=0.9, jawOpen=0.5, browInnerUp=0.9, browOuterUpLeft=0.8, browOuterUpRight=0.8
    ),
    expression(jawLeft=0.6, jawOpen=0.2, browDownRight=0.6),
    expression(eyeBlinkLeft=1.0, eyeBlinkRight=1.0, mouthPressLeft=0.6, mouthPressRight=0.6),
    expression(mouthRollLower=0.7, mouthRollUpper=0.5, browInnerUp=0.4),
)


def grimaces(avatar: Avatar, count: int, seed: int) -> list[Moment]:
    """`count` moments of strong expressions, one passing into the next, while the head turns.

    It turns as far as an avatar is meant to be seen. seed: another one gives another order and other turns.
    """
    random = np.random.default_rng(seed)
    keys = count // _HOLD + 2
    order = np.concatenate(
        [random.permutation(len(_GRIMACES)) for _ in range(-(-keys // len(_GRIMACES)))]
    )
    turns = random.uniform(-1, 1, (keys, 3)) * (_YAW, _PITCH, _ROLL)
    moments: list[Moment] = []
    for k in range(count):
        at, share = k // _HOLD, (k % _HOLD) / _HOLD
        share = share * share * (3 - 2 * share)
        yaw, pitch, roll = (1 - share) * turns[at] + share * turns[at + 1]
        doing = (1 - share) * _GRIMACES[order[at]] + share * _GRIMACES[order[at + 1]]
        moments.append(
            Moment(
                facing_pose(avatar, yaw=float(yaw), pitch=float(pitch), roll=float(roll)),
                with_resting_lids(avatar, doing.astype(np.float32)),
                gaze_from_expression(doing),
            )
        )
    return moments


def built_in_motion(
    avatar: Avatar, performed: Sequence[Moment], frames: int, train: int, seed: int
) -> list[Moment]:
    """The built-in motion: a performance, and grimaces with turns, three frames to one, in training and in the tests.

    performed: moments of a performance that talks, laughs, looks around and turns, in order. The first frame is the photo's own
    moment. Where fewer frames are asked for, the performance is thinned out. The tests' grimaces are in another order, with other
    turns.
    """
    source = avatar.source
    moments = [Moment(source.pose, source.expression, source.gaze)]
    share = len(performed) / max(frames, 1)
    for number, (first, count) in enumerate(((0, train), (train, frames - train))):
        strong = count // 4
        talking = count - strong
        picked = [
            performed[min(int((first + k * count / max(talking, 1)) * share), len(performed) - 1)]
            for k in range(talking)
        ]
        for part in (picked, grimaces(avatar, strong, 2 * seed + number)):
            moments += joined(moments[-1], part)
    return [moments[0], *moments[2:]]


def joined(before: Moment, part: Sequence[Moment]) -> list[Moment]:
    """A part of a motion, its first moments led over from the last moment before it."""
    return [
        moment if k >= _JOIN else mixed(before, moment, (k + 1) / (_JOIN + 1))
        for k, moment in enumerate(part)
    ]


def mixed(one: Moment, other: Moment, share: float) -> Moment:
    """Part of the way from one moment to another; share in [0, 1]."""

    def mix(a: Float32Array, b: Float32Array) -> Float32Array:
        return (a + np.float32(share) * (b - a)).astype(np.float32)

    def turned(a: Float32Array, b: Float32Array) -> Float32Array:
        turn = share * to_axis_angle(b.astype(np.float64) @ a.T)
        return (from_axis_angle(turn) @ a).astype(np.float32)

    pose = HeadPose(
        turned(one.pose.R_cam_head, other.pose.R_cam_head),
        mix(one.pose.t_cam_head, other.pose.t_cam_head),
        turned(one.pose.R_cam_body, other.pose.R_cam_body),
    )
    return Moment(pose, mix(one.expression, other.expression), mix(one.gaze, other.gaze))


def write_moments(path: Path, moments: Sequence[Moment], size: int) -> None:
    """Keep a motion as a recording of perse-live, which `drive` draws too."""
    header = MotionHeader(size + size % 2, size + size % 2, FPS, "off", "d9dbde", ())
    with atomic_output(path) as temporary, temporary.open("wb") as file:
        writer = MotionWriter(file, header)
        for k, moment in enumerate(moments):
            pose = moment.pose
            state = MotionState(
                moment.expression,
                moment.gaze,
                pose.R_cam_head,
                pose.t_cam_head,
                pose.R_cam_body,
                np.zeros(4, np.float32),
                np.zeros(0, np.float32),
            )
            writer.write(MotionFrame(k / FPS, state, np.zeros((478, 3), np.float32)))


def read_moments(path: Path, most: int | None = None) -> list[Moment]:
    """The moments of a recording, at most `most`; landmark offsets and secondary motion are left out.

    Raises UserError for another file, and for one without motion.
    """
    moments: list[Moment] = []
    for frame in read_motion(path):
        if most is not None and len(moments) >= most:
            break
        state = frame.state
        pose = HeadPose(state.R_cam_head, state.t_cam_head, state.R_cam_body)
        moments.append(Moment(pose, state.expression, state.gaze))
    if not moments:
        raise UserError(f"there is no motion in {path}: record it again")
    return moments
