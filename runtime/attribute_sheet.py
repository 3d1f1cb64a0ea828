"""The sheet of an avatar's attributes: each coming in, turned and talking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.attributes import Look
from perse_live.avatar import Avatar
from perse_live.head.expressions import expression
from perse_live.wardrobe import worn
from runtime.stage import facing_pose
from runtime.tiles import HEADING, MARGIN, TITLE, Sheet, Tile, TilePainter, acting, close_up, row_height

_TILE = 220  # pixels
_CLOSE_UP, _ABOVE = 1.95, 0.2  # side of the picture, and how far it is moved up, in heights of the face: hats have room
_WEIGHTS = (("0", 0.0), ("1/4", 0.25), ("1/2", 0.5), ("3/4", 0.75), ("1", 1.0))
_TALKING = expression(jawOpen=0.45, mouthSmileLeft=0.7, mouthSmileRight=0.7, cheekSquintLeft=0.3, cheekSquintRight=0.3)


def attribute_sheet(avatar: Avatar, attributes: Sequence[Look]) -> UInt8Array:
    """A row for each attribute: from weight 0 to 1 seen from the front, then at weight 1 turned by 30 degrees and talking.

    attributes: some of the avatar's own. Returns (H, W, 3) RGB, 1684 pixels wide, 308 high for each attribute.
    """
    front, resting = facing_pose(avatar), expression()
    coming = [Tile(caption, acting(avatar, resting, front)) for caption, _ in _WEIGHTS]
    there = [Tile("turned 30°", acting(avatar, resting, facing_pose(avatar, yaw=30))),
             Tile("talking", acting(avatar, _TALKING, front))]
    sheet = Sheet(len(coming) + len(there), _TILE, len(attributes) * (HEADING + row_height(_TILE)))
    made = avatar.provenance
    shown = f"{len(attributes)} of {len(avatar.attributes)}"
    sheet.title("Attributes", f"{shown}   ·   photo {made.photo_sha256[:12]}   ·   {made.creator}")
    painter = TilePainter(avatar, close_up(avatar, front, _CLOSE_UP, above=_ABOVE), sheet)
    keys = {one.name: key for key, one in enumerate(avatar.attributes, 1)}
    top = MARGIN + TITLE
    for one in attributes:
        added = f"   ·   {len(one.added):,} Gaussians added" if len(one.added) else ""
        sheet.heading(one.label, top, facts=f"{one.name}   ·   slot {one.slot}   ·   number {keys[one.name]}{added}")
        for column, (tile, (_, weight)) in enumerate(zip(coming, _WEIGHTS, strict=True)):
            painter.wear(worn(avatar, avatar.attributes, {one.name: weight}))
            painter.place_at(tile, column, top + HEADING)
        painter.place_all(there, top + HEADING, first_column=len(coming))
        top += HEADING + sheet.row
    return np.asarray(sheet.image)
