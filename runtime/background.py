"""Backgrounds: a colour, a picture, or transparency."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.jit import kernel
from perse_live.photo import read_picture


@dataclass(frozen=True)
class Color:
    """One colour everywhere."""

    red: int
    """0 to 255, as the other two."""
    green: int
    blue: int


@dataclass(frozen=True)
class Picture:
    """A picture, scaled to cover the frame."""

    path: Path


@dataclass(frozen=True)
class Transparent:
    """Transparent: the output has an alpha channel."""


Background = Color | Picture | Transparent


def parse_background(text: str) -> Background:
    """Parse `--background`: `RRGGBB` in hexadecimal digits, `alpha`, or the path of a picture.

    Raises UserError for anything else.
    """
    if text.lower() == "alpha":
        return Transparent()
    if re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        return Color(*bytes.fromhex(text[-6:]))
    if Path(text).is_file():
        return Picture(Path(text))
    raise UserError(
        f"the background {text!r} is neither a colour (RRGGBB, such as 00ff00), nor 'alpha', nor a picture that"
        " exists: give one of the three"
    )


def load_background(background: Color | Picture, width: int, height: int) -> UInt8Array:
    """The background as a picture of a frame's size: pictures are scaled to cover it and cut evenly.

    Returns (height, width, 3) RGB. Raises UserError for a file that is not a picture that can be read.
    """
    if isinstance(background, Color):
        return np.full(
            (height, width, 3), (background.red, background.green, background.blue), np.uint8
        )
    picture = Image.fromarray(read_picture(background.path))
    return np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS))


def lay_over(
    premultiplied: UInt8Array,  # (H, W, 4) RGB already multiplied by alpha
    background: UInt8Array,  # (H, W, 3)
) -> UInt8Array:
    """A drawn avatar over a background (Porter and Duff 1984, "over"). Returns (H, W, 3)."""
    out = np.empty_like(background)
    _lay_over(premultiplied.reshape(-1, 4), background.reshape(-1, 3), out.reshape(-1, 3))
    return out


@kernel
def _lay_over(above: UInt8Array, below: UInt8Array, out: UInt8Array) -> None:
    for i in range(above.shape[0]):
        alpha = above[i, 3]
        if alpha == 0:  # most pixels are fully opaque or fully transparent
            for c in range(3):
                out[i, c] = below[i, c]
        elif alpha == 255:
            for c in range(3):
                out[i, c] = above[i, c]
        else:
            through = np.int32(255) - np.int32(alpha)
            for c in range(3):
                sum_ = np.int32(above[i, c]) + (
                    np.int32(below[i, c]) * through + np.int32(127)
                ) // np.int32(255)
                out[i, c] = np.uint8(min(sum_, np.int32(255)))


def straight_alpha(premultiplied: UInt8Array) -> UInt8Array:
    """Colours as files with transparency keep them: not multiplied by alpha.

    premultiplied: (H, W, 4). Returns (H, W, 4); invisible pixels are black.
    """
    alpha = premultiplied[..., 3:].astype(np.float32)
    color = premultiplied[..., :3] * (255 / np.maximum(alpha, 1))
    return np.concatenate([np.minimum(np.rint(color), 255), alpha], -1).astype(np.uint8)
