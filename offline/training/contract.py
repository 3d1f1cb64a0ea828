"""The training data of an attribute, which editors produce: the attribute as far as it is known in 3D, and pictures of it.

Each maker of a look (built-in looks, text inpainting, a part from another photo) returns a `TeacherAttribute` and, where the look
is known from pictures, `TrainingFrame`s. `offline.training.learning.fit_attribute`, an implementation of `FitAttribute`, fits an
adapter of the avatar's network to both. The teacher is not stored.
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

BACKDROP = (0.5, 0.5, 0.5)
"""Behind the avatar in pictures of the training, unless a frame says otherwise."""


@dataclass(frozen=True, eq=False)
class TrainingFrame:
    """One picture of a person with the attribute at weight 1."""

    image: Float32Array
    """(H, W, 3) sRGB in [0, 1]. Ignored outside of the part mask."""
    part_mask: Float32Array
    """(H, W) in [0, 1]: the region of the part; 1 where the picture must be matched. Where it is 0, the avatar must look as it
    does without the attribute."""
    camera: Camera
    """`camera.height`, `camera.width` are H, W; 128 to 512 pixels a side are enough, and quick."""
    pose: HeadPose
    expression: Float32Array
    """(52,) in [0, 1]."""
    gaze: Float32Array
    """(2, 2) radians; left, right eye; yaw, pitch."""
    weight: float = 1.0
    """> 0: weight of this picture in the loss; lower for views that the editor synthesised."""
    backdrop: tuple[float, float, float] = BACKDROP
    """sRGB in [0, 1], what the picture shows behind the person. Different ones tell a hidden Gaussian from one of the backdrop's
    colour."""


@dataclass(frozen=True, eq=False)
class TeacherAttribute:
    """A new look, as far as it is known in 3D."""

    look: Attribute
    """Name, label and slot; Gaussians that may change (`ids`), Gaussians that it adds (`added`), vertices that move. Values at
    weight 1: exact where `known`; else the initial values of training, such as the avatar's colours and opacities."""
    known: bool
    """True: `look` is exact, the network is fitted Gaussian by Gaussian, and frames are optional. False: the look is fitted to
    frames, of which at least one is needed."""
    moves_base: bool = False
    """Whether the base Gaussians in `look.ids` may also move and change size (fitted to frames only). Colours and opacities may
    always change."""
    tints_hair: bool = False
    """Whether hair that other attributes add (beards, a fringe, hair under a hat) takes this look's colour too."""
    origin: PhotoOrigin | None = None
    """The photo that it was taken from, if any."""


Progress = Callable[[str, float], None]
"""Called with the name of the current step and the fraction done, [0, 1]."""


class FitAttribute(Protocol):
    """Fits an attribute of an avatar."""

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
        known. Raises UserError, one line, where the avatar has no room for it, or where it was made for another avatar.
        """
        ...
