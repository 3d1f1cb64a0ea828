"""Donor and avatar in correspondence, point by point: the input of every transfer of a part from a second photo."""

from __future__ import annotations

from dataclasses import dataclass

from offline.editing.donor import Donor, Progress
from offline.editing.head_warp import Observed, observed, require_head
from offline.editing.light_match import LightMatch, match_light, white_of
from offline.images import erode
from offline.looks.face.rest_positions import on_part
from offline.looks.skin.skin_light import plain_skin
from offline.looks.skin.under_hair import OwnHead, own_head
from offline.segment.landmark_masks import eye_openings
from perse_live.avatar import Avatar
from perse_live.head.rig import EYES
from perse_live.regions import Region


@dataclass(frozen=True, eq=False)
class Transplant(OwnHead):
    """A donor and the receiving avatar."""

    donor: Donor
    seen: Observed
    """(S,) the donor's photo at the avatar's points."""
    light: LightMatch
    progress: Progress


def transplant(donor: Donor, avatar: Avatar, *, progress: Progress) -> Transplant:
    """Compare the two heads (0.3 s). Raises UserError for an avatar of another mesh."""
    require_head(avatar)
    own = own_head(avatar, donor.geometry.template, donor.charts)
    seen = observed(donor, own.on)
    plain = plain_skin(own.charts, own.rest) & (avatar.regions[: len(own.on)] == Region.SKIN)
    eyes = erode(eye_openings(donor.portrait.detection.landmarks, donor.look.alpha.shape), 1)
    own_eyes = avatar.colors[on_part(avatar, *EYES)]
    light = match_light(
        seen, own.own, plain, (white_of(donor.look.image[eyes]), white_of(own_eyes))
    )
    return Transplant(avatar, own.on, own.rest, own.charts, donor, seen, light, progress)
