"""Reading a portrait from disk, whatever camera or program wrote it."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError

MIN_SIDE = 256
"""Pixels; below this a face cannot carry an avatar."""
MAX_SIDE = 4096
"""Pixels; larger pictures are reduced on loading: the avatar uses about a thousand pixels across the head."""

_BLACK = 8  # of 255: brightest pixel of a black bar; codecs leave a little noise
_MOST_BARS = 0.5  # of a side that may be bars; more is a dark picture
_SEAM = 2  # pixels beside a bar that codecs have darkened


@dataclass(frozen=True)
class Photo:
    """A decoded picture in display orientation."""

    rgb: UInt8Array
    """(H, W, 3) sRGB."""
    sha256: str
    """Of the file's bytes, as hexadecimal text."""
    name: str
    """The file's name, for messages."""


def load_photo(path: Path) -> Photo:
    """Read a picture of any kind Pillow knows and bring it to 8-bit sRGB.

    EXIF orientation is applied, transparency is laid over mid grey, 16-bit, grey and CMYK pictures are converted.

    Raises UserError when the file is missing, not a picture, damaged, smaller than 256 px on a side or absurdly large.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; give the path of a portrait photo") from error
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the path of a portrait photo") from error
    rgb = _without_black_bars(_decode(path))
    height, width = rgb.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise UserError(f"{path}: {width} x {height} pixels are too few; use a photo of at least {MIN_SIDE} px on each side")
    return Photo(rgb, hashlib.sha256(data).hexdigest(), path.name)


def _decode(path: Path) -> UInt8Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # half of what Pillow refuses is still a photo
            with Image.open(path) as image:
                image.draft("RGB", (MAX_SIDE, MAX_SIDE))
                ImageOps.exif_transpose(image, in_place=True)
                image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
                return np.asarray(_to_rgb(image), dtype=np.uint8)
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: the picture has too many pixels; reduce it to 13,000 or less on each side") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not a picture that can be read; use a JPEG, PNG or WebP photo") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path}: the picture is damaged ({error}); use an intact copy") from error


def _without_black_bars(rgb: UInt8Array) -> UInt8Array:
    """Cut off bars of pure black at the edges, as screenshots of films have: they would be taken for clothes or hair."""
    brightest = rgb.max(2)
    rows, columns = (_between_bars(brightest, axis) for axis in (1, 0))
    cut = rgb[rows, columns]
    return rgb if cut.shape == rgb.shape else np.ascontiguousarray(cut[_SEAM:-_SEAM, _SEAM:-_SEAM])


def _between_bars(brightest: UInt8Array, axis: int) -> slice:
    """What lies between the bars along a picture's side; all of it where there are none. brightest: (H, W)."""
    side = brightest.shape[1 - axis]
    lit = np.nonzero((brightest > _BLACK).mean(axis) > 0.01)[0]
    if not len(lit) or side - np.ptp(lit) - 1 > _MOST_BARS * side:
        return slice(0, side)
    light = brightest.mean(axis)
    ends = [0, side]
    for k, (at, inwards) in enumerate(((int(lit[0]), 1), (int(lit[-1]), -1))):
        if light[at + _SEAM * inwards] > 4 * _BLACK:  # a bar ends at once, a dark corner of a picture grows lighter slowly
            ends[k] = at + k
    return slice(*ends)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if values.max() > 255 else 255.0
        return Image.fromarray((np.clip(values / top, 0, 1) * 255 + 0.5).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        layered = image.convert("RGBA")
        grey = Image.new("RGBA", layered.size, (128, 128, 128, 255))
        return Image.alpha_composite(grey, layered).convert("RGB")
    return image.convert("RGB")
