"""An edited portrait as pictures to learn from: by the rig from all sides, by LivePortrait from the front where it is there."""

from __future__ import annotations

from offline.animation.liveportrait import LivePortrait, animate_by_liveportrait
from offline.animation.motion import training_motion
from offline.animation.rig import animate_by_rig
from offline.editing.contract import EditedPortrait
from offline.editing.donor import Progress
from offline.training.contract import TrainingFrame
from perse_live.avatar import Avatar

_RIG_FRAMES, _LIVEPORTRAIT_FRAMES = 12, 8


def training_frames(
    avatar: Avatar, edited: EditedPortrait, networks: LivePortrait | None, *, progress: Progress
) -> list[TrainingFrame]:
    """Frames for `offline.training.learning.fit_attribute`.

    None for a look that is known in 3D where there are no networks: the fit draws such looks by itself.
    """
    if networks is None and edited.teacher.known:
        return []
    frames = animate_by_rig(avatar, edited, training_motion(avatar, _RIG_FRAMES), progress=progress)
    if networks is not None:
        motion = training_motion(avatar, _LIVEPORTRAIT_FRAMES)
        frames += animate_by_liveportrait(avatar, edited, motion, networks, progress=progress)
    return frames
