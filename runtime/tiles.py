"""Layout of sheets: tiles with captions, headings, close-ups of the face."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar, neutral_landmarks, with_resting_lids
from perse_live.camera import Camera
from perse_live.head.rig import gaze_from_expression
from runtime.stage import Motion, Stage

MARGIN, GAP, CAPTION, TITLE, HEADING = 36, 12, 30, 76, 46  # pixels
OVERSAMPLING = 2  # tiles are drawn this much larger, so that nothing flickers in the small
_PAPER, BACKDROP, _INK, _PALE_INK = (255, 255, 255), (217, 219, 222), (38, 40, 44), (118, 122, 128)


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of an avatar."""

    caption: str
    motion: Motion
    span: int = 1
    """How many columns and rows it takes."""


def close_up(avatar: Avatar, pose: HeadPose, heights: float, *, above: float = 0.0) -> Camera:
    """The photo's camera cut to the face in a pose.

    heights: side of the picture, in heights of the face from forehead to chin; above: how far the picture's middle lies above the
    face's, likewise.
    """
    camera = avatar.source.camera
    seen = camera.project(neutral_landmarks(avatar) @ pose.R_cam_head.T + pose.t_cam_head)
    low, high = seen.min(0), seen.max(0)
    face = (high - low).max()
    side = float(np.clip(heights * face, 0.1 * camera.height, camera.height))
    left, top = (low + high - side) / 2 - (0, above * face)
    pixels = max(round(side), 16)
    scale = pixels / side
    return replace(
        camera,
        width=pixels,
        height=pixels,
        fx=camera.fx * scale,
        fy=camera.fy * scale,
        cx=(camera.cx - left) * scale,
        cy=(camera.cy - top) * scale,
    )


def acting(avatar: Avatar, doing: Float32Array, pose: HeadPose) -> Motion:
    """An expression (52,) in a pose, as it looks on this face."""
    return Motion(with_resting_lids(avatar, doing), gaze_from_expression(doing), pose)


class Sheet:
    """White paper with a grid of tiles."""

    def __init__(self, columns: int, tile: int, height: int) -> None:
        """tile: side of one, pixels; height: of all that stands below the title, pixels."""
        self.columns, self.tile = columns, tile
        self.image = Image.new(
            "RGB", (2 * MARGIN + columns * (tile + GAP) - GAP, 2 * MARGIN + TITLE + height), _PAPER
        )
        self._pen = ImageDraw.Draw(self.image)

    @property
    def row(self) -> int:
        """Height of a row of tiles with its captions, pixels."""
        return row_height(self.tile)

    def title(self, text: str, facts: str) -> None:
        """What the sheet shows."""
        self._pen.text((MARGIN, MARGIN - 6), text, _INK, _font(34))
        self._pen.text((MARGIN, MARGIN + 38), facts, _PALE_INK, _font(17))

    def heading(self, text: str, top: int, *, facts: str = "") -> None:
        """What the rows below show."""
        font = _font(21)
        self._pen.text((MARGIN, top + 8), text, _INK, font)
        if facts:
            self._pen.text(
                (MARGIN + self._pen.textlength(text, font) + 16, top + 12),
                facts,
                _PALE_INK,
                _font(17),
            )

    def paste(self, picture: Image.Image, caption: str, left: int, top: int) -> None:
        """Put a picture on the sheet, with rounded corners and its caption below."""
        width, height = picture.size
        self.image.paste(picture, (left, top), _rounded(width, height))
        self._pen.text(
            (left + width / 2, top + height + CAPTION * 0.45), caption, _INK, _font(17), anchor="mm"
        )


def row_height(tile: int) -> int:
    """Height of a row of tiles of this side with its captions, pixels."""
    return tile + CAPTION + GAP


class TilePainter:
    """Draws tiles of one avatar through one camera and puts them on a sheet."""

    def __init__(self, avatar: Avatar, camera: Camera, sheet: Sheet) -> None:
        self._avatar, self._camera, self._sheet = avatar, camera, sheet
        self._stages: dict[int, Stage] = {}

    def set_avatar(self, avatar: Avatar) -> None:
        """Draw the same avatar with other attribute weights from here on."""
        self._avatar = avatar
        for stage in self._stages.values():
            stage.set_avatar(avatar)

    def place(self, tile: Tile, left: int, top: int) -> None:
        """Draw one with its corner at a place in the sheet."""
        side = tile.span * self._sheet.tile + (tile.span - 1) * GAP
        high = side + (tile.span - 1) * CAPTION
        drawn = Image.fromarray(self._draw(tile.motion, side)).resize(
            (side, side), Image.Resampling.LANCZOS
        )
        box = Image.new("RGB", (side, high), BACKDROP)
        box.paste(drawn, (0, high - side))
        self._sheet.paste(box, tile.caption, left, top)

    def place_at(self, tile: Tile, number: int, top: int, *, first_column: int = 0) -> None:
        """Draw one of many in rows, counted from 0, from a column on."""
        row, column = divmod(number, self._sheet.columns - first_column)
        self.place(
            tile,
            MARGIN + (first_column + column) * (self._sheet.tile + GAP),
            top + row * self._sheet.row,
        )

    def place_all(self, tiles: Sequence[Tile], top: int, *, first_column: int = 0) -> None:
        """Draw many in rows, from a column on."""
        for number, tile in enumerate(tiles):
            self.place_at(tile, number, top, first_column=first_column)

    def _draw(self, motion: Motion, side: int) -> UInt8Array:
        pixels = side * OVERSAMPLING
        if pixels not in self._stages:
            self._stages[pixels] = Stage(
                self._avatar, self._camera.resized(pixels, pixels), threads=os.cpu_count() or 1
            )
        red, green, blue = BACKDROP
        return (
            self._stages[pixels]
            .draw(motion, background=(red / 255, green / 255, blue / 255))
            .copy()
        )


def _rounded(width: int, height: int, radius: int = 10) -> Image.Image:
    mask = Image.new("L", (width * 4, height * 4), 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, width * 4 - 1, height * 4 - 1), radius * 4, fill=255
    )
    return mask.resize((width, height), Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
