"""What every animator does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from offline.editing.contract import EditedPortrait
from offline.editing.donor import Progress
from offline.training.contract import TrainingFrame
from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar


@dataclass(frozen=True, eq=False)
class Moment:
    """What the person does in one frame."""

    pose: HeadPose
    expression: Float32Array
    """(52,) in [0, 1]."""
    gaze: Float32Array
    """(2, 2) radians; left, right eye; yaw, pitch."""


class PortraitAnimator(Protocol):
    """Sets an edited portrait in motion."""

    def __call__(
        self,
        avatar: Avatar,
        edited: EditedPortrait,
        motion: Sequence[Moment],
        *,
        progress: Progress,
    ) -> list[TrainingFrame]:
        """One frame for each moment, in that order."""
        ...
