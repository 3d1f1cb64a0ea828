"""What editors hand in, so that an avatar learns it: an attribute as far as it is known, and pictures of it.

Whoever makes a look (the built-in makers, text inpainting, a part from another photo) gives a `TeacherAttribute`, and where the
look is known from pictures, `TrainingFrame`s. `offline.training.learning.fit_attribute` turns both into an adapter of the
avatar's network; it is one `FitAttribute`. The teacher itself is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array
from perse_live.attributes import Attribute, PhotoOrigin
from perse_live.avatar import Avatar
from perse_live.camera import Camera


@dataclass(frozen=True, eq=False)
class TrainingFrame:
    """One picture of a person in whom the attribute is there at full weight."""

    image: Float32Array
    """(H, W, 3) sRGB in [0, 1]. Outside of the part mask it is not looked at."""
    part_mask: Float32Array
    """(H, W) in [0, 1]: where the part is, or would be; 1 where the picture must be matched. Where it is 0, the avatar must look
    as it does without the attribute."""
    camera: Camera
    """`camera.height`, `camera.width` are H, W; 128 to 512 pixels a side are enough, and quick."""
    pose: HeadPose
    expression: Float32Array
    """(52,) in [0, 1]."""
    gaze: Float32Array
    """(2, 2) radians; left, right eye; yaw, pitch."""
    weight: float = 1.0
    """> 0: how much this picture counts against the others; less for views that the editor made up."""


@dataclass(frozen=True, eq=False)
class TeacherAttribute:
    """A new look, as far as its maker knows it."""

    look: Attribute
    """Name, label and slot; which Gaussians may change (`ids`), which come with it (`added`), which vertices move. Values at full
    weight: exact ones where `known`; else where training starts, such as the avatar's own colours and opacities."""
    known: bool
    """True: `look` is right as it is, the network learns it Gaussian by Gaussian, and frames are optional. False: the frames tell
    how it looks, and at least one is needed."""
    moves_own: bool = False
    """Whether the avatar's own Gaussians in `look.ids` may also move and change size (only learnt from frames). Colours and
    opacities may always change."""
    tints_hair: bool = False
    """Whether hair that other attributes add (beards, a fringe, hair under a hat) takes this look's colour too."""
    origin: PhotoOrigin | None = None
    """Where it is taken from somebody's photo."""


Progress = Callable[[str, float], None]
"""Told what is being done, and which fraction of it is done."""


class FitAttribute(Protocol):
    """How an avatar learns an attribute."""

    def __call__(
        self,
        avatar: Avatar,
        teacher: TeacherAttribute,
        frames: Sequence[TrainingFrame],
        *,
        progress: Progress,
    ) -> Avatar:
        """The avatar with the attribute as its last; one of the same name is replaced, in its place.

        All other attributes, and the avatar without any, stay as they are bit for bit. frames: may be empty where the teacher is
        known. Raises UserError, one line, where there is no room for another attribute, or where it is for another avatar.
        """
        ...
