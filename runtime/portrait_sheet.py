"""A sheet of many faces, each turned and with closed lids, with their figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from perse_live.arrays import UInt8Array
from perse_live.avatar import Avatar
from perse_live.evaluation.portraits.views import SIDE, head_camera, resting
from perse_live.head.rig import gaze_from_expression
from perse_live.poses import facing_pose
from runtime.stage import Motion, Stage
from runtime.tiles import GAP, HEADING, MARGIN, TITLE, Sheet, row_height

_VIEWS = (
    *((f"yaw {yaw:.0f}", yaw, 0.0) for yaw in (-35.0, -20.0, 0.0, 20.0, 35.0)),
    ("eyeBlink 1", 0.0, 1.0),
)
_TILE = 256  # pixels
_BACKDROP = (217 / 255, 219 / 255, 222 / 255)


@dataclass(frozen=True, eq=False)
class PortraitRow:
    """One face."""

    name: str
    figures: str
    """Shown next to the name."""
    tiles: tuple[Image.Image, ...]
    """As `portrait_tiles` draws them."""


def portrait_tiles(avatar: Avatar) -> tuple[Image.Image, ...]:
    """The avatar at rest at yaw -35, -20, 0, 20 and 35 degrees, and with its lids closed."""
    tiles: list[Image.Image] = []
    for _, yaw, blink in _VIEWS:
        doing, pose = resting(avatar, blink=blink), facing_pose(avatar, yaw=yaw)
        stage = Stage(avatar, head_camera(avatar, pose), threads=os.cpu_count() or 1)
        drawn = stage.draw(Motion(doing, gaze_from_expression(doing), pose), background=_BACKDROP)
        assert drawn.shape[:2] == (SIDE, SIDE)
        tiles.append(Image.fromarray(drawn).resize((_TILE, _TILE), Image.Resampling.LANCZOS))
    return tuple(tiles)


def portrait_sheet(title: str, rows: Sequence[PortraitRow]) -> UInt8Array:
    """All faces below each other. Returns (H, W, 3) RGB."""
    row = HEADING + row_height(_TILE)
    sheet = Sheet(len(_VIEWS), _TILE, len(rows) * row)
    sheet.title(title, f"{len(rows)} faces")
    for number, one in enumerate(rows):
        top = MARGIN + TITLE + number * row
        sheet.heading(one.name, top, facts=one.figures)
        for column, (tile, (caption, _, _)) in enumerate(zip(one.tiles, _VIEWS, strict=True)):
            sheet.paste(tile, caption, MARGIN + column * (_TILE + GAP), top + HEADING)
    return np.asarray(sheet.image)
