"""The contact sheet: one picture by which to judge an avatar, its turns and its expressions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar, neutral_landmarks, with_own_lids
from perse_live.camera import Camera
from perse_live.head.expressions import expression
from perse_live.head.rig import gaze_from_expression
from runtime.stage import Motion, Stage, facing_pose, turned_pose

_COLUMNS = 6
_TILE = 300  # pixels
_OVERSAMPLING = 2  # tiles are drawn this much larger, so that nothing flickers in the small
_MARGIN, _GAP, _CAPTION, _TITLE, _HEADING = 36, 12, 30, 76, 46  # pixels
_CLOSE_UP = 1.65  # side of the picture, in heights of the face from forehead to chin
_PAPER, _BACKDROP, _INK, _PALE_INK = (255, 255, 255), (217, 219, 222), (38, 40, 44), (118, 122, 128)

_TURNS = (("yaw -35°", (-35, 0, 0)), ("yaw -20°", (-20, 0, 0)), ("yaw +20°", (20, 0, 0)), ("yaw +35°", (35, 0, 0)),
          ("pitch -20°", (0, -20, 0)), ("pitch +20°", (0, 20, 0)), ("roll -25°", (0, 0, -25)), ("roll +25°", (0, 0, 25)))
_EXPRESSIONS: tuple[tuple[str, Float32Array], ...] = (
    ("neutral", expression()),
    ("jaw open", expression(jawOpen=0.8)),
    ("smile", expression(mouthSmileLeft=0.9, mouthSmileRight=0.9, cheekSquintLeft=0.5, cheekSquintRight=0.5)),
    ("laugh", expression(jawOpen=0.4, mouthSmileLeft=1, mouthSmileRight=1, mouthUpperUpLeft=0.35, mouthUpperUpRight=0.35,
                         cheekSquintLeft=0.8, cheekSquintRight=0.8, eyeSquintLeft=0.6, eyeSquintRight=0.6)),
    ("pucker", expression(mouthPucker=1)),
    ("funnel", expression(mouthFunnel=1, jawOpen=0.15)),
    ("blink", expression(eyeBlinkLeft=1, eyeBlinkRight=1)),
    ("wink", expression(eyeBlinkLeft=1, mouthSmileLeft=0.6, cheekSquintLeft=0.6)),
    ("look left", expression(eyeLookOutLeft=0.9, eyeLookInRight=0.9)),
    ("look right", expression(eyeLookInLeft=0.9, eyeLookOutRight=0.9)),
    ("look up", expression(eyeLookUpLeft=0.9, eyeLookUpRight=0.9, browInnerUp=0.3)),
    ("look down", expression(eyeLookDownLeft=0.8, eyeLookDownRight=0.8, eyeBlinkLeft=0.25, eyeBlinkRight=0.25)),
    ("brows up", expression(browInnerUp=1, browOuterUpLeft=1, browOuterUpRight=1, eyeWideLeft=0.4, eyeWideRight=0.4)),
    ("brows down", expression(browDownLeft=1, browDownRight=1, eyeSquintLeft=0.3, eyeSquintRight=0.3)),
    ("frown", expression(mouthFrownLeft=1, mouthFrownRight=1, mouthShrugLower=0.4, browDownLeft=0.3, browDownRight=0.3)),
    ("show teeth", expression(mouthUpperUpLeft=0.8, mouthUpperUpRight=0.8, mouthLowerDownLeft=0.8, mouthLowerDownRight=0.8,
                              jawOpen=0.1)),
    ("mouth aside", expression(mouthLeft=1, mouthDimpleLeft=0.4)),
    ("tongue out", expression(tongueOut=1, jawOpen=0.35)),
)


@dataclass(frozen=True, eq=False)
class _Tile:
    caption: str
    motion: Motion
    span: int = 1
    """How many columns and rows it takes."""


def contact_sheet(avatar: Avatar) -> UInt8Array:
    """An avatar as in its photo, turned, and with a range of expressions, each with a caption.

    Turns are from the photo's view, with the photo's expression; expressions are seen from the front, as far as 52 actions make
    them. Returns (H, W, 3) RGB, about 1900x1900 pixels.
    """
    source = avatar.source
    as_in_photo = Motion(source.expression, source.gaze, source.pose)
    turned = [_Tile(caption, Motion(source.expression, source.gaze, turned_pose(avatar, *angles))) for caption, angles in _TURNS]
    front = facing_pose(avatar)
    acting = [_Tile(caption, _acting(avatar, doing, front)) for caption, doing in _EXPRESSIONS]
    size = _TILE + _CAPTION + _GAP
    width = 2 * _MARGIN + _COLUMNS * (_TILE + _GAP) - _GAP
    rows = 2 + -(-len(acting) // _COLUMNS)
    height = _MARGIN + _TITLE + 2 * _HEADING + rows * size + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _title(avatar, pen)
    top = _MARGIN + _TITLE
    _heading(pen, "The photo's view, and the head turned from it", top)
    top += _HEADING
    painter = _Painter(avatar, source.camera, sheet, pen)
    painter.place(_Tile("as in the photo", as_in_photo, span=2), _MARGIN, top)
    painter.place_all(turned, top, first_column=2)
    top += 2 * size
    _heading(pen, "Expressions, from the front", top)
    _Painter(avatar, _close_up(avatar, front), sheet, pen).place_all(acting, top + _HEADING)
    return np.asarray(sheet)


def _close_up(avatar: Avatar, pose: HeadPose) -> Camera:
    """The photo's camera cut to the face in a pose."""
    camera = avatar.source.camera
    seen = camera.project(neutral_landmarks(avatar) @ pose.R_cam_head.T + pose.t_cam_head)
    low, high = seen.min(0), seen.max(0)
    side = float(np.clip(_CLOSE_UP * (high - low).max(), 0.1 * camera.height, camera.height))
    left, top = (low + high - side) / 2
    pixels = max(round(side), 16)
    scale = pixels / side
    return replace(camera, width=pixels, height=pixels, fx=camera.fx * scale, fy=camera.fy * scale, cx=(camera.cx - left) * scale,
                   cy=(camera.cy - top) * scale)


def _acting(avatar: Avatar, doing: Float32Array, pose: HeadPose) -> Motion:
    return Motion(with_own_lids(avatar, doing), gaze_from_expression(doing), pose)


class _Painter:
    """Draws tiles of one kind and puts them on the sheet."""

    def __init__(self, avatar: Avatar, camera: Camera, sheet: Image.Image, pen: ImageDraw.ImageDraw) -> None:
        self._avatar, self._camera, self._sheet, self._pen = avatar, camera, sheet, pen
        self._stages: dict[int, Stage] = {}

    def place(self, tile: _Tile, left: int, top: int) -> None:
        side = tile.span * _TILE + (tile.span - 1) * _GAP
        high = side + (tile.span - 1) * _CAPTION
        drawn = Image.fromarray(self._draw(tile.motion, side)).resize((side, side), Image.Resampling.LANCZOS)
        box = Image.new("RGB", (side, high), _BACKDROP)
        box.paste(drawn, (0, high - side))
        self._sheet.paste(box, (left, top), _rounded(side, high))
        self._pen.text((left + side / 2, top + high + _CAPTION * 0.45), tile.caption, _INK, _font(17), anchor="mm")

    def place_all(self, tiles: Sequence[_Tile], top: int, *, first_column: int = 0) -> None:
        columns = _COLUMNS - first_column
        for i, tile in enumerate(tiles):
            row, column = divmod(i, columns)
            self.place(tile, _MARGIN + (first_column + column) * (_TILE + _GAP), top + row * (_TILE + _CAPTION + _GAP))

    def _draw(self, motion: Motion, side: int) -> UInt8Array:
        pixels = side * _OVERSAMPLING
        if pixels not in self._stages:
            self._stages[pixels] = Stage(self._avatar, self._camera.resized(pixels, pixels), threads=os.cpu_count() or 1)
        red, green, blue = _BACKDROP
        return self._stages[pixels].draw(motion, background=(red / 255, green / 255, blue / 255)).copy()


def _rounded(width: int, height: int, radius: int = 10) -> Image.Image:
    mask = Image.new("L", (width * 4, height * 4), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width * 4 - 1, height * 4 - 1), radius * 4, fill=255)
    return mask.resize((width, height), Image.Resampling.LANCZOS)


def _title(avatar: Avatar, pen: ImageDraw.ImageDraw) -> None:
    made = avatar.provenance
    facts = f"{len(avatar):,} Gaussians   ·   photo {made.photo_sha256[:12]}   ·   {made.creator}"
    pen.text((_MARGIN, _MARGIN - 6), "Contact sheet", _INK, _font(34))
    pen.text((_MARGIN, _MARGIN + 38), facts, _PALE_INK, _font(17))


def _heading(pen: ImageDraw.ImageDraw, text: str, top: int) -> None:
    pen.text((_MARGIN, top + 8), text, _INK, _font(21))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
