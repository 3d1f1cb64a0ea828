"""The contact sheet: one picture of an avatar's turns, expressions and attributes."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.attribute_blending import with_attributes
from perse_live.avatar import Avatar
from perse_live.head.expressions import expression
from runtime.stage import Motion, facing_pose, turned_pose
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

_COLUMNS = 6
_TILE = 300  # pixels
_CLOSE_UP = 1.65  # side of the picture, in heights of the face from forehead to chin
_WIDER, _ABOVE = 1.95, 0.2  # the same for attributes, and how far it is moved up: hats have room

_TURNS = (
    ("yaw -35°", (-35, 0, 0)),
    ("yaw -20°", (-20, 0, 0)),
    ("yaw +20°", (20, 0, 0)),
    ("yaw +35°", (35, 0, 0)),
    ("pitch -20°", (0, -20, 0)),
    ("pitch +20°", (0, 20, 0)),
    ("roll -25°", (0, 0, -25)),
    ("roll +25°", (0, 0, 25)),
)
EXPRESSIONS: tuple[tuple[str, Float32Array], ...] = (
    ("neutral", expression()),
    ("jaw open", expression(jawOpen=0.8)),
    (
        "smile",
        expression(
            mouthSmileLeft=0.9, mouthSmileRight=0.9, cheekSquintLeft=0.5, cheekSquintRight=0.5
        ),
    ),
    (
        "laugh",
        expression(
            jawOpen=0.4,
            mouthSmileLeft=1,
            mouthSmileRight=1,
            mouthUpperUpLeft=0.35,
            mouthUpperUpRight=0.35,
            cheekSquintLeft=0.8,
            cheekSquintRight=0.8,
            eyeSquintLeft=0.6,
            eyeSquintRight=0.6,
        ),
    ),
    ("pucker", expression(mouthPucker=1)),
    ("funnel", expression(mouthFunnel=1, jawOpen=0.15)),
    ("blink", expression(eyeBlinkLeft=1, eyeBlinkRight=1)),
    ("wink", expression(eyeBlinkLeft=1, mouthSmileLeft=0.6, cheekSquintLeft=0.6)),
    ("look left", expression(eyeLookOutLeft=0.9, eyeLookInRight=0.9)),
    ("look right", expression(eyeLookInLeft=0.9, eyeLookOutRight=0.9)),
    ("look up", expression(eyeLookUpLeft=0.9, eyeLookUpRight=0.9, browInnerUp=0.3)),
    (
        "look down",
        expression(
            eyeLookDownLeft=0.8, eyeLookDownRight=0.8, eyeBlinkLeft=0.25, eyeBlinkRight=0.25
        ),
    ),
    (
        "brows up",
        expression(
            browInnerUp=1, browOuterUpLeft=1, browOuterUpRight=1, eyeWideLeft=0.4, eyeWideRight=0.4
        ),
    ),
    (
        "brows down",
        expression(browDownLeft=1, browDownRight=1, eyeSquintLeft=0.3, eyeSquintRight=0.3),
    ),
    (
        "frown",
        expression(
            mouthFrownLeft=1,
            mouthFrownRight=1,
            mouthShrugLower=0.4,
            browDownLeft=0.3,
            browDownRight=0.3,
        ),
    ),
    (
        "show teeth",
        expression(
            mouthUpperUpLeft=0.8,
            mouthUpperUpRight=0.8,
            mouthLowerDownLeft=0.8,
            mouthLowerDownRight=0.8,
            jawOpen=0.1,
        ),
    ),
    ("mouth aside", expression(mouthLeft=1, mouthDimpleLeft=0.4)),
    ("tongue out", expression(tongueOut=1, jawOpen=0.35)),
)
"""Expressions that show what a face can do, by their captions."""


def contact_sheet(avatar: Avatar) -> UInt8Array:
    """An avatar as in its photo, turned, with a range of expressions, and in each of its attributes, with captions.

    Turns are from the photo's view, with the photo's expression; expressions are seen from the front, as far as 52 actions make
    them. Returns (H, W, 3) RGB, about 1900x1900 pixels, and 342 more for every six attributes.
    """
    source, front = avatar.source, facing_pose(avatar)
    as_in_photo = Motion(source.expression, source.gaze, source.pose)
    turned = [
        Tile(caption, Motion(source.expression, source.gaze, turned_pose(avatar, *angles)))
        for caption, angles in _TURNS
    ]
    doing = [Tile(caption, acting(avatar, expressed, front)) for caption, expressed in EXPRESSIONS]
    rows, more = 2 + -(-len(doing) // _COLUMNS), -(-len(avatar.attributes) // _COLUMNS)
    sheet = Sheet(_COLUMNS, _TILE, (3 if more else 2) * HEADING + (rows + more) * row_height(_TILE))
    made = avatar.provenance
    sheet.title(
        "Contact sheet",
        f"{len(avatar):,} Gaussians   ·   photo {made.photo_sha256[:12]}   ·   {made.creator}",
    )
    top = MARGIN + TITLE
    sheet.heading("The photo's view, and the head turned from it", top)
    top += HEADING
    painter = TilePainter(avatar, source.camera, sheet)
    painter.place(Tile("as in the photo", as_in_photo, span=2), MARGIN, top)
    painter.place_all(turned, top, first_column=2)
    top += 2 * sheet.row
    sheet.heading("Expressions, from the front", top)
    TilePainter(avatar, close_up(avatar, front, _CLOSE_UP), sheet).place_all(doing, top + HEADING)
    if more:
        top += HEADING + (rows - 2) * sheet.row
        sheet.heading("Attributes", top)
        _place_attributes(
            avatar,
            TilePainter(avatar, close_up(avatar, front, _WIDER, above=_ABOVE), sheet),
            top + HEADING,
        )
    return np.asarray(sheet.image)


def _place_attributes(avatar: Avatar, painter: TilePainter, top: int) -> None:
    resting = acting(avatar, expression(), facing_pose(avatar))
    for i, one in enumerate(avatar.attributes):
        painter.set_avatar(with_attributes(avatar, avatar.attributes, {one.name: 1.0}))
        painter.place_at(Tile(one.label, resting), i, top)
