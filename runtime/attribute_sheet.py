"""The attribute sheet: a fade-in of each attribute, then turned and talking; and the way from one look to the next in eighths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import Look
from perse_live.avatar import Avatar
from perse_live.head.expressions import expression
from runtime.stage import facing_pose
from runtime.tiles import (
    HEADING,
    MARGIN,
    TITLE,
    Sheet,
    Tile,
    TilePainter,
    acting,
    close_up,
    row_height,
)

_TILE = 220  # pixels
# side of the picture, and how far it is moved up, in heights of the face from forehead to chin
_WHOLE_HEAD = (1.95, 0.2)  # room for hats
_PART_OF_FACE = {
    "eyes": (0.75, 0.13),
    "eyebrows": (0.85, 0.2),
    "glasses": (1.3, 0.1),
    "make-up": (1.1, 0.0),
    "mouth": (0.7, -0.2),
    "skin": (1.2, 0.0),
}
_EIGHTHS = 8
_SIDE_VIEW = 35.0  # degrees
_WEIGHTS = (("0", 0.0), ("1/4", 0.25), ("1/2", 0.5), ("3/4", 0.75), ("1", 1.0))
_TALKING = expression(
    jawOpen=0.45, mouthSmileLeft=0.7, mouthSmileRight=0.7, cheekSquintLeft=0.3, cheekSquintRight=0.3
)


def attribute_sheet(avatar: Avatar, attributes: Sequence[Look]) -> UInt8Array:
    """A row for each attribute: from weight 0 to 1 seen from the front, then at weight 1 turned by 30 degrees and talking.

    Attributes of a part of the face are shown enlarged.
    attributes: some of the avatar's attributes. Returns (H, W, 3) RGB, 1684 pixels wide, 308 high for each attribute.
    """
    resting, front, turned_pose = expression(), facing_pose(avatar), facing_pose(avatar, yaw=30)
    coming = [Tile(caption, acting(avatar, resting, front)) for caption, _ in _WEIGHTS]
    turned, talking = (
        Tile("turned 30°", acting(avatar, resting, turned_pose)),
        Tile("talking", acting(avatar, _TALKING, front)),
    )
    sheet = Sheet(len(coming) + 2, _TILE, len(attributes) * (HEADING + row_height(_TILE)))
    made = avatar.provenance
    shown = f"{len(attributes)} of {len(avatar.attributes)}"
    sheet.title("Attributes", f"{shown}   ·   photo {made.photo_sha256[:12]}   ·   {made.creator}")
    keys = {one.name: key for key, one in enumerate(avatar.attributes, 1)}
    top = MARGIN + TITLE
    for one in attributes:
        added = f"   ·   {len(one.added):,} Gaussians added" if len(one.added) else ""
        sheet.heading(
            one.label,
            top,
            facts=f"{one.name}   ·   slot {one.slot}   ·   number {keys[one.name]}{added}",
        )
        heights, above = _PART_OF_FACE.get(one.slot, _WHOLE_HEAD)
        before, beside = (
            TilePainter(avatar, close_up(avatar, pose, heights, above=above), sheet)
            for pose in (front, turned_pose)
        )
        for column, (tile, (_, weight)) in enumerate(zip(coming, _WEIGHTS, strict=True)):
            before.set_avatar(with_attributes(avatar, avatar.attributes, {one.name: weight}))
            before.place_at(tile, column, top + HEADING)
        beside.set_avatar(with_attributes(avatar, avatar.attributes, {one.name: 1.0}))
        beside.place_at(turned, len(coming), top + HEADING)
        before.place_at(talking, len(coming) + 1, top + HEADING)
        top += HEADING + sheet.row
    return np.asarray(sheet.image)


def way_sheet(avatar: Avatar, attributes: Sequence[Look]) -> UInt8Array:
    """Two rows, from the front and turned by 35 degrees, for each step of a way: from the avatar without attributes to the first
    look, from there to the second, and so on, in eighths.

    attributes: of one slot, at least one. Returns (H, W, 3) RGB, 2148 pixels wide, 570 high for each look.
    """
    resting = expression()
    poses = facing_pose(avatar), facing_pose(avatar, yaw=_SIDE_VIEW)
    leg = HEADING + len(poses) * row_height(_TILE)
    sheet = Sheet(_EIGHTHS + 1, _TILE, len(attributes) * leg)
    made = avatar.provenance
    sheet.title("From look to look", f"photo {made.photo_sha256[:12]}   ·   {made.creator}")
    heights, above = _PART_OF_FACE.get(attributes[0].slot, _WHOLE_HEAD)
    painters = [
        TilePainter(avatar, close_up(avatar, pose, heights, above=above), sheet) for pose in poses
    ]
    before, top = None, MARGIN + TITLE
    for one in attributes:
        sheet.heading(f"{'Own' if before is None else before.label} to {one.label}", top)
        for step in range(_EIGHTHS + 1):
            weight = step / _EIGHTHS
            weights = {one.name: weight}
            if before is not None:
                weights[before.name] = 1 - weight
            shown = with_attributes(avatar, avatar.attributes, weights)
            for row, (painter, pose) in enumerate(zip(painters, poses, strict=True)):
                painter.set_avatar(shown)
                tile = Tile(f"{step}/{_EIGHTHS}", acting(avatar, resting, pose))
                painter.place_at(tile, step, top + HEADING + row * sheet.row)
        before, top = one, top + leg
    return np.asarray(sheet.image)
