"""The rig as animator: always available, and correct from every side as far as the look is known in 3D."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offline.animation.contract import Moment
from offline.editing.contract import EditedPortrait, View
from offline.editing.donor import Progress
from offline.editing.look_pictures import LookRenderer
from offline.training.contract import TrainingFrame
from perse_live.avatar import Avatar

_SIZE = 256  # pixels a side: enough to learn from
_PORTRAIT_WEIGHT = 2.0  # weight of the edited picture, relative to synthesised ones


def animate_by_rig(
    avatar: Avatar, edited: EditedPortrait, motion: Sequence[Moment], *, progress: Progress
) -> list[TrainingFrame]:
    """Renderings of the avatar with the look of `edited.teacher`, one for each moment; a `PortraitAnimator`."""
    camera = edited.view.camera.resized(_SIZE, _SIZE)
    renderer = LookRenderer(avatar, camera, edited.teacher.look)
    frames: list[TrainingFrame] = []
    for k, moment in enumerate(motion):
        progress("animating", k / len(motion))
        view = View(camera, moment.pose, moment.expression, moment.gaze)
        weight = _PORTRAIT_WEIGHT if _is_portrait(moment, edited.view) else 1.0
        frames.append(
            TrainingFrame(
                renderer.picture(view),
                renderer.mask(view),
                camera,
                moment.pose,
                moment.expression,
                moment.gaze,
                weight,
                (0.0, 0.0, 0.0),
            )
        )
    progress("animating", 1.0)
    return frames


def _is_portrait(moment: Moment, view: View) -> bool:
    """Whether a moment is that of the edited picture."""
    same = [
        (moment.pose.R_cam_head, view.pose.R_cam_head),
        (moment.pose.t_cam_head, view.pose.t_cam_head),
        (moment.expression, view.expression),
    ]
    return all(np.array_equal(one, other) for one, other in same)
