"""The small badge in a corner that says: this is an avatar."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perse_live.arrays import UInt8Array

_TEXT = "avatar"
_SHARE = 0.034  # of the picture's shorter side that letters have
_SUPERSAMPLING = 4


def stamp(image: UInt8Array, place: str) -> None:
    """Put the badge into a corner of a picture, in place.

    image: (H, W, 3) RGB; place: a corner such as "top-left", or "off".
    """
    if place == "off":
        return
    color, alpha = _badge(max(9, round(_SHARE * min(image.shape[:2]))))
    height, width = alpha.shape[:2]
    margin = height // 2
    if height + 2 * margin > image.shape[0] or width + 2 * margin > image.shape[1]:
        return  # no room: a thumbnail
    top = margin if place.startswith("top") else image.shape[0] - height - margin
    left = margin if place.endswith("left") else image.shape[1] - width - margin
    under = image[top : top + height, left : left + width]
    under[:] = ((under * (255 - alpha) + color * alpha + 127) // 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _badge(letter: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour (h, w, 3) and alpha (h, w, 1), both uint16 in 0 .. 255."""
    big = letter * _SUPERSAMPLING
    font = ImageFont.load_default(big)
    left, top, right, bottom = font.getbbox(_TEXT)
    width, height = int(right - left) + round(2.0 * big), round(1.75 * big)
    pill = Image.new("L", (width, height), 0)
    ImageDraw.Draw(pill).rounded_rectangle((0, 0, width - 1, height - 1), height // 2, fill=150)
    words = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(words)
    draw.text((1.35 * big - left, (height - (bottom - top)) / 2 - top), _TEXT, font=font, fill=255)
    dot = 0.28 * big
    draw.ellipse((0.72 * big - dot, height / 2 - dot, 0.72 * big + dot, height / 2 + dot), fill=255)
    size = (width // _SUPERSAMPLING, height // _SUPERSAMPLING)
    shade = np.asarray(pill.resize(size, Image.Resampling.BOX), np.uint16)[..., None]
    text = np.asarray(words.resize(size, Image.Resampling.BOX), np.uint16)[..., None]
    alpha = np.maximum(shade, text)
    ink = np.array([245, 247, 250], np.uint16) * text // np.maximum(alpha, 1)
    paper = np.array([22, 26, 34], np.uint16) * (alpha - text) // np.maximum(alpha, 1)
    return ink + paper, alpha
