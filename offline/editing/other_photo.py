"""Parts from another photo, lifted to 3D and transferred to the avatar."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from offline.editing.contract import EditedPortrait
from offline.editing.donor import Donor, Progress, fit_donor
from offline.editing.facial_hair_transfer import beard_from, brows_from
from offline.editing.glasses_transfer import glasses_from
from offline.editing.hair_transfer import hair_from
from offline.editing.hat_transfer import hat_from
from offline.editing.head_pair import Transplant, transplant
from offline.editing.iris_transfer import eyes_from
from offline.editing.look_pictures import (
    LookRenderer,
    own_portrait,
    portrait_background,
    source_view,
)
from offline.editing.make_up_transfer import make_up_from
from offline.editing.part_names import PART_SLOTS, PART_WORDS, require_part
from offline.looks.changes import Title
from offline.training.contract import TeacherAttribute
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.photo import Photo

_MAKERS: Mapping[str, Callable[[Transplant, Title], Attribute]] = {
    "hair": hair_from,
    "beard": beard_from,
    "brows": brows_from,
    "makeup": make_up_from,
    "eyes": eyes_from,
    "glasses": glasses_from,
    "hat": hat_from,
}


@dataclass(frozen=True)
class FromPhoto:
    """A part of a second photo; an `Editor`."""

    photo: Photo
    part: str
    """One of `part_names.PART_SLOTS`."""
    name: str | None = None
    """Of the attribute; by default the part's and the photo's."""

    def __call__(self, avatar: Avatar, *, progress: Progress) -> EditedPortrait:
        """The avatar's portrait with the part, rendered with the attribute that it is lifted to."""
        look = attribute_from_photo(
            avatar, self.photo, self.part, name=self.name, progress=progress
        )
        view = source_view(avatar)
        renderer = LookRenderer(avatar, view.camera, look)
        portrait, mask = own_portrait(avatar, view), renderer.mask(view)
        drawn = renderer.over(view, portrait_background(avatar, view))
        return EditedPortrait(
            np.where(mask[..., None] > 0, drawn, portrait),
            mask,
            view,
            TeacherAttribute(look, known=True),
        )


def attribute_from_photo(
    avatar: Avatar, photo: Photo, part: str, *, name: str | None = None, progress: Progress
) -> Attribute:
    """A part of a second photo as an attribute of the avatar.

    part: one of `part_names.PART_SLOTS`; name: of the attribute, by default the part's and the photo's. Raises UserError for an
    unknown part, a photo without a face or without the part.
    """
    require_part(part)
    stem = photo.name.rsplit(".", 1)[0]
    return part_from(
        avatar,
        fit_donor(photo, progress=progress),
        part,
        title_for(part, stem, name),
        progress=progress,
    )


def part_from(
    avatar: Avatar, donor: Donor, part: str, title: Title, *, progress: Progress
) -> Attribute:
    """`attribute_from_photo` for a photo with the rig fitted."""
    both = transplant(donor, replace(avatar, attributes=()), progress=progress)
    progress("carrying it over", 0.0)
    return _MAKERS[part](both, title)


def title_for(part: str, words: str, name: str | None) -> Title:
    """The title of an attribute: the user's name for it, or the part with words for its origin."""
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    plain = "".join(c for c in words if c.isprintable())
    label = f"{PART_WORDS[part]}: {plain}"[:60].rstrip()
    return Title(name or f"{part}-{slug or 'photo'}"[:40].rstrip("-"), label, PART_SLOTS[part])
