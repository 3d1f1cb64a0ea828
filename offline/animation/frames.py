"""An edited portrait as pictures to learn from: by the rig from all sides, by networks and video models where there are any."""

from __future__ import annotations

from offline.animation.guided_video import VideoAnimator
from offline.animation.liveportrait import LivePortrait, animate_by_liveportrait
from offline.animation.motion import training_motion
from offline.animation.rig import animate_by_rig
from offline.editing.contract import EditedPortrait
from offline.editing.donor import Progress
from offline.training.contract import TrainingFrame
from perse_live.avatar import Avatar

_RIG_FRAMES, _LIVEPORTRAIT_FRAMES = 12, 8
_VIDEO_FRAMES = 16  # one window of AnimateDiff


def training_frames(
    avatar: Avatar,
    edited: EditedPortrait,
    networks: LivePortrait | None,
    video: VideoAnimator | None = None,
    *,
    progress: Progress,
) -> list[TrainingFrame]:
    """Frames for `offline.training.learning.fit_attribute`.

    None for a look that is known in 3D where there are neither networks nor a video model: the fit draws such looks by itself.
    """
    if networks is None and video is None and edited.teacher.known:
        return []
    frames = animate_by_rig(avatar, edited, training_motion(avatar, _RIG_FRAMES), progress=progress)
    if networks is not None:
        motion = training_motion(avatar, _LIVEPORTRAIT_FRAMES)
        frames += animate_by_liveportrait(avatar, edited, motion, networks, progress=progress)
    if video is not None:
        frames += video(avatar, edited, training_motion(avatar, _VIDEO_FRAMES), progress=progress)
    return frames
