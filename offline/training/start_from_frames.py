"""Where the learning of a look starts that is known from pictures only: which Gaussians may change, and which come with it.

What lies elsewhere than the avatar becomes Gaussians on the rig's triangles or fixed to the skull: the points that the data set
tracks, else pixels unprojected by the pictures' depth. Pictures without depth can only change what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from offline.looks.assembly import Changes, attribute, piece_by_piece
from offline.training.contract import TeacherAttribute
from offline.training.posed_avatar import PosedAvatar, SeenFrame
from offline.training.rebinding import rebound
from offline.training.unprojection import HAIR_SLOTS, START_OPACITY, Points, points_of
from perse_live.arrays import BoolArray
from perse_live.attributes import AddedGaussians, nothing_added
from perse_live.avatar import Avatar
from perse_live.decoder.features import places_at_rest
from perse_live.regions import Region

_CHANGED_IN = 0.34  # share of the pictures that see one of the avatar's Gaussians in which it must lie in the part
_HIDDEN_IN = 0.6  # share of the pictures that must refute one of the avatar's Gaussians, so that it starts hidden
_JUDGES = 24  # pictures in which they are compared
_SOLID = frozenset({"hat", "glasses", "headphones", "earrings"})
"""Slots of things, which come piece by piece; all else comes everywhere at once."""
_SHAPES = frozenset({"mouth", "nose", "face"})
_HAIR_START = 0.35  # size at weight 0, as the built-in beards have it


def teacher_from_frames(
    avatar: Avatar,
    name: str,
    label: str,
    slot: str,
    seen: Sequence[SeenFrame],
    unprojected: Sequence[SeenFrame],
    tracked: Points | None = None,
) -> TeacherAttribute:
    """A teacher that says where learning starts; its pictures must say the rest.

    avatar: without attributes; seen: pictures from different sides, which tell what changes and what the look hides;
    unprojected: a dozen of them, from which Gaussians are made, unless the data set tracks the look's points. Raises ValueError
    for none.
    """
    if not seen:
        raise ValueError("no pictures to start from")

    def solid(one: SeenFrame) -> BoolArray:
        none = np.zeros(one.frame.part_mask.shape, np.bool_)
        return none if one.thing is None or slot not in _SOLID else one.thing

    inside, visible, judged, refuted = np.zeros((4, len(avatar)))
    for one in seen:
        view = PosedAvatar(avatar, one.frame)
        there, hit = view.visible_in(one.frame.part_mask, one.depth)
        visible += there
        inside += hit
        if one.depth is not None:
            judges, against = view.judged_by(one.depth, one.frame.part_mask, solid(one))
            judged += judges
            refuted += against
    # also what the avatar itself hides: hair beneath hair that goes would come to light
    gone = (refuted > 0) & (refuted >= _HIDDEN_IN * judged)
    changed = (inside > 0) & (inside >= _CHANGED_IN * visible)
    ids = np.nonzero(changed | gone)[0].astype(np.int32)
    change = Changes(ids, avatar.colors[ids], np.where(gone[ids], 0, avatar.opacities[ids]))
    points = points_of(avatar, slot, unprojected) if tracked is None else tracked
    if tracked is None and len(points.surface.triangles):
        others = [one for one in seen if one.depth is not None]
        others = others[:: max(len(others) // _JUDGES, 1)]
        points = replace(points, surface=rebound(avatar, points, unprojected, others))
    added = _added(avatar, slot, points)
    return TeacherAttribute(
        attribute(name, label, slot, added, change), known=False, moves_base=slot in _SHAPES
    )


def _added(avatar: Avatar, slot: str, points: Points) -> AddedGaussians:
    if not len(points.colors):
        return nothing_added()
    count, hairy, solid = len(points.colors), slot in HAIR_SLOTS, slot in _SOLID
    region = Region.HAIR if hairy else Region.CLOTHES if slot == "cloth" else Region.ACCESSORY
    heights = places_at_rest(avatar.rig, points.surface, points.rigid)[:, 1].astype(np.float64)
    return AddedGaussians(
        points.surface,
        points.surface.positions.copy(),
        points.rigid,
        points.rigid.means.copy(),
        np.full(count, START_OPACITY, np.float32),
        np.clip(points.colors, 0, 1).astype(np.float32),
        np.full(count, int(region), np.uint8),
        # from the top down, as the built-in hats
        piece_by_piece(-heights).astype(np.float32) if solid else np.zeros(count, np.float32),
        _HAIR_START if hairy else 1.0,
        solid,
    )
