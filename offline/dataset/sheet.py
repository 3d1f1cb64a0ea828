"""The contact sheet of a data set: every look at a few moments, and the maps of one of its frames."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from offline.dataset.layout import DRAWN_BY, Dataset, DatasetFrame
from offline.dataset.reading import read_depth, read_grey, read_rgb
from perse_live.arrays import UInt8Array

SHEET_FILE = "sheet.png"
_TILE, _GAP, _CAPTION, _MARGIN, _TITLE = 160, 6, 24, 24, 44  # pixels
_MOMENTS = 6  # of each look at most, evenly over the motion
_MAPS = ("alpha", "part", "depth", "normals", "semantic")
_PAPER, _INK, _PALE = (255, 255, 255), (38, 40, 44), (118, 122, 128)
_MOST_LOOKS = 64

_BLANK = np.full((_TILE, _TILE, 3), 244, np.uint8)  # where there is no picture


def dataset_sheet(dataset: Dataset) -> UInt8Array:
    """A picture (H, W, 3): a row for each look. Raises UserError where a picture of the data set cannot be read."""
    looks = dataset.looks[:_MOST_LOOKS]
    frames = max((len(look.frames) for look in looks), default=0)
    moments = min(_MOMENTS, frames)
    columns = moments + len(_MAPS)
    width = 2 * _MARGIN + columns * (_TILE + _GAP) - _GAP
    row_height = _CAPTION + _TILE + _GAP
    height = 2 * _MARGIN + _TITLE + len(looks) * row_height
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(20), ImageFont.load_default(13)
    left_out = len(dataset.looks) - len(looks)
    more = f", {left_out} more are not shown" if left_out else ""
    draw.text(
        (_MARGIN, _MARGIN), f"{len(looks)} looks of {frames} frames{more}", fill=_INK, font=font
    )
    for row, look in enumerate(looks):
        top = _MARGIN + _TITLE + row * row_height
        entry = look.entry
        drawn_by = "" if entry is None else f"{entry.label}, drawn by {DRAWN_BY[entry.animator]}"
        draw.text((_MARGIN, top), f"{look.name}   {drawn_by}", fill=_INK, font=small)
        chosen = [look.frames[index] for index in _chosen(len(look.frames))]
        blank = [("", _BLANK)] * (moments - len(chosen))
        tiles = [*(("", _picture(one)) for one in chosen), *blank]
        tiles += [(kind, _map(chosen[(len(chosen) - 1) // 2], kind)) for kind in _MAPS]
        for column, (caption, tile) in enumerate(tiles):
            x = _MARGIN + column * (_TILE + _GAP)
            sheet.paste(Image.fromarray(tile), (x, top + _CAPTION))
            if column >= moments and row == 0:
                draw.text((x, top), caption, fill=_PALE, font=small)
    return np.asarray(sheet, np.uint8)


def _chosen(frames: int) -> list[int]:
    """Numbers of the frames that are shown, each once, evenly over the motion."""
    return np.unique(np.linspace(0, frames - 1, _MOMENTS).round().astype(int)).tolist()


def _picture(frame: DatasetFrame) -> UInt8Array:
    return _tile(read_rgb(frame.files.rgb))


def _map(frame: DatasetFrame, kind: str) -> UInt8Array:
    path = getattr(frame.files, kind)
    if path is None:
        return _BLANK
    if kind == "depth":
        return _tile(depth_picture(read_depth(path)))
    if kind in ("alpha", "part"):
        return _tile(np.repeat(read_grey(path)[..., None], 3, 2))
    return _tile(read_rgb(path))


def depth_picture(depth: np.ndarray) -> UInt8Array:
    """A depth map (H, W) as a picture (H, W, 3): near is light, nothing is black."""
    seen = depth > 0
    if not seen.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    low, high = np.percentile(depth[seen], (1, 99))
    share = np.clip((depth - low) / max(high - low, 1e-6), 0, 1)
    grey = np.where(seen, 255 - 215 * share, 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


def _tile(picture: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.resize(picture, (_TILE, _TILE), interpolation=cv2.INTER_AREA), np.uint8)
