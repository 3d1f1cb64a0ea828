"""The contract of editors: they return a portrait with another look, its mask, and the look as far as it is known in 3D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from offline.editing.donor import Progress
from offline.training.contract import TeacherAttribute
from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera


@dataclass(frozen=True, eq=False)
class View:
    """Camera, pose, expression and gaze of a picture of a person."""

    camera: Camera
    pose: HeadPose
    expression: Float32Array
    """(52,) in [0, 1]."""
    gaze: Float32Array
    """(2, 2) radians; left, right eye; yaw, pitch."""


@dataclass(frozen=True, eq=False)
class EditedPortrait:
    """A portrait of the avatar's person with another look."""

    rgb: UInt8Array
    """(H, W, 3) of `view.camera`'s size; outside of the mask it is the portrait as it was."""
    mask: Float32Array
    """(H, W) mask of the new look, [0, 1]."""
    view: View
    teacher: TeacherAttribute
    """The look in 3D, as far as the editor knows it."""


class Editor(Protocol):
    """Makes one look for any avatar."""

    def __call__(self, avatar: Avatar, *, progress: Progress) -> EditedPortrait:
        """The avatar's portrait, edited. avatar: its attributes stay at weight 0.

        Raises UserError, one line, where the look cannot be made for this avatar.
        """
        ...
