"""Text-conditioned inpainting, with PERSE's choice of masks (arXiv 2412.21206, section 3): the mask has the form of the new part.

With a mask of the old part, that part would only be recoloured. So another person with the requested part is painted first, at
the same place and pose, and the part segmented in that picture is the mask. Where hair or a hat is requested, the person's hair
is shortened first.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from offline.editing.contract import EditedPortrait, View
from offline.editing.donor import Donor, Progress, fit_donor
from offline.editing.inpainter import Inpainter
from offline.editing.look_pictures import own_portrait, source_view
from offline.editing.other_photo import part_from, title_for
from offline.editing.own_portrait import own_donor
from offline.editing.part_masks import moved_mask, seen_mask, usual_mask
from offline.editing.part_names import require_part
from offline.editing.prompts import SHORT_HAIR, description
from offline.images import dilate
from offline.segment.landmark_masks import face_oval
from offline.training.contract import TeacherAttribute
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.photo import Photo

_log = logging.getLogger(__name__)
_OVER_HAIR = ("hair", "hat")
_LEAST_MASK = 100  # pixels


@dataclass(frozen=True)
class FromText:
    """An `Editor` for a part described by a text."""

    text: str
    """Such as "a short boxed beard"; "any" lets the seed choose."""
    part: str
    """One of `part_names.PART_SLOTS`."""
    inpainter: Inpainter
    name: str | None = None
    """Of the attribute; by default the part's and the words'."""
    seed: int = 0
    steps: int = 30

    def __call__(self, avatar: Avatar, *, progress: Progress) -> EditedPortrait:
        """The avatar's portrait with the part that the text describes, and the attribute lifted from it.

        Raises UserError for an unknown part, and where what was painted shows no such part.
        """
        require_part(self.part)
        described = description(self.part, self.text, self.seed)
        view = source_view(avatar)
        rgb, mask = self.painted(avatar, view, own_portrait(avatar, view), progress=progress)
        progress("lifting to 3D", 0.0)
        donor = own_donor(avatar, view, rgb, f"the picture of {described!r}")
        look = part_from(
            avatar, donor, self.part, title_for(self.part, described, self.name), progress=progress
        )
        return EditedPortrait(rgb, mask, view, TeacherAttribute(look, known=True))

    def painted(
        self, avatar: Avatar, view: View, portrait: UInt8Array, *, progress: Progress
    ) -> tuple[UInt8Array, Float32Array]:
        """The portrait (H, W, 3) with the part painted in, and the mask (H, W) outside of which it is unchanged."""
        own = own_donor(avatar, view, portrait, "the portrait")
        base, covered = portrait, np.zeros(portrait.shape[:2], np.float32)
        if self.part in _OVER_HAIR:
            progress("painting short hair", 0.0)
            covered = _own_hair(own)
            base = self._inpainted(portrait, covered, SHORT_HAIR)
        progress("painting another person for the mask", 0.0)
        mask = self._mask_by_example(own, progress)
        progress("painting the part", 0.0)
        rgb = self._inpainted(base, mask, description(self.part, self.text, self.seed))
        return rgb, np.maximum(mask, covered)

    def _inpainted(self, rgb: UInt8Array, mask: Float32Array, words: str) -> UInt8Array:
        return (
            self.inpainter(rgb, mask, words, seed=self.seed, steps=self.steps)
            if mask.any()
            else rgb
        )

    def _mask_by_example(self, own: Donor, progress: Progress) -> Float32Array:
        """The mask of the new part, segmented from another person painted at the same place; by the rig where that fails."""
        unit, shape, landmarks = (
            own.portrait.unit,
            own.look.alpha.shape,
            own.portrait.detection.landmarks,
        )
        oval = face_oval(landmarks, (shape[0], shape[1]))
        head = dilate(oval | (own.parts.hair > 0.5) & (own.look.alpha > 0.3), 14 * unit)
        example = self._inpainted(
            own.portrait.rgb, head.astype(np.float32), description(self.part, self.text, self.seed)
        )
        try:
            other = fit_donor(Photo(example, "", "the example"), progress=progress)
            found = moved_mask(
                seen_mask(other, self.part), other.portrait.detection.landmarks, landmarks
            )
        except UserError as error:
            _log.info("the mask is the rig's guess: %s", error)
            return usual_mask(own, self.part)
        return found if found.sum() > _LEAST_MASK else usual_mask(own, self.part)


def _own_hair(own: Donor) -> Float32Array:
    try:
        return seen_mask(own, "hair")
    except UserError:  # bald: nothing to shorten
        return np.zeros(own.look.alpha.shape, np.float32)
