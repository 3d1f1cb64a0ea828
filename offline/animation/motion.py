"""Training motions: head turns, and a face that talks, laughs and blinks."""

from __future__ import annotations

import numpy as np

from offline.animation.contract import Moment
from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar, with_resting_lids
from perse_live.head.expressions import expression
from perse_live.head.rig import gaze_from_expression
from perse_live.poses import facing_pose

_DOING = (
    expression(),
    expression(jawOpen=0.5),
    expression(mouthSmileLeft=0.9, mouthSmileRight=0.9, cheekSquintLeft=0.4, cheekSquintRight=0.4),
    expression(eyeBlinkLeft=1.0, eyeBlinkRight=1.0),
    expression(mouthPucker=0.8, jawOpen=0.1),
    expression(browInnerUp=0.8, browOuterUpLeft=0.7, browOuterUpRight=0.7, jawOpen=0.2),
    expression(browDownLeft=0.8, browDownRight=0.8, mouthFrownLeft=0.5, mouthFrownRight=0.5),
    expression(mouthFunnel=0.7, jawOpen=0.35),
)
_YAW, _PITCH = 32.0, 14.0  # degrees: the range of views that an avatar is built for
_GOLDEN = 0.6180339887498949


def training_motion(avatar: Avatar, count: int) -> list[Moment]:
    """`count` moments that cover turns and expressions evenly; the first is that of the photo, the second the face at rest."""
    source = avatar.source
    moments = [Moment(source.pose, source.expression, source.gaze)]
    for k in range(max(count - 1, 0)):
        # a low-discrepancy walk: any number of moments fills the range
        yaw = _YAW * (2 * np.mod(0.5 + k * _GOLDEN, 1) - 1)
        pitch = _PITCH * (2 * np.mod(0.5 + k * _GOLDEN**2, 1) - 1)
        doing: Float32Array = _DOING[k % len(_DOING)]
        pose = facing_pose(avatar, yaw=yaw, pitch=pitch)
        moments.append(Moment(pose, with_resting_lids(avatar, doing), gaze_from_expression(doing)))
    return moments[:count]
