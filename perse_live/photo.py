"""Reading pictures from disk, whatever camera or program wrote them: portraits, further photos, backgrounds.

A picture is decoded at most once, in at most about a gigabyte of memory, and comes back as 8-bit sRGB in display orientation.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.files import file_sha256

_log = logging.getLogger(__name__)

MIN_SIDE = 256
"""Pixels; below this a face cannot carry an avatar."""
MAX_SIDE = 4096
"""Pixels; larger pictures are reduced on loading: the avatar uses about a thousand pixels across the head."""
MAX_PIXELS = 120_000_000
"""Of a picture, as stored; larger ones are refused before they are decoded."""

# And HEIF; no EPS: Pillow would start Ghostscript on it
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP")
_FORMAT_NAMES = "JPEG, PNG, WebP, HEIC, AVIF or TIFF"
# Their decoders hold several copies: 1 GB each
_MAX_PIXELS_OF = {"WEBP": 60_000_000, "AVIF": 60_000_000, "HEIF": 90_000_000}
# In the other formats further pictures are pages, depth maps or previews
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
# How an ISO file says that it holds HEVC pictures: heic, heix, hevc, mif1 ...
_HEIF_BRANDS = (b"hei", b"hev", b"mif", b"msf")
_BAND = 256  # rows converted and reduced at a time
_SRGB = ImageCms.createProfile("sRGB")
# Color spaces of profiles as Pillow's modes
_PROFILE_MODES = {b"RGB ": "RGB", b"CMYK": "CMYK", b"GRAY": "L", b"Lab ": "LAB"}
# Bytes of a profile's header that name the color space of the data (ICC.1, section 7.2)
_PROFILE_SPACE = slice(16, 20)
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,
    struct.error,
)

_BLACK = 8  # of 255: brightest pixel of a black bar; codecs leave a little noise
_MAX_BARS = 0.5  # of a side that may be bars; more is a dark picture
_SEAM = 2  # pixels next to a bar, darkened by codecs


@dataclass(frozen=True)
class Photo:
    """A decoded portrait in display orientation."""

    rgb: UInt8Array
    """(H, W, 3) sRGB."""
    sha256: str
    """Of the file's bytes, as hexadecimal text."""
    name: str
    """The file's name, for messages."""
    warnings: tuple[str, ...] = ()
    """Warnings about the file, for the user."""


def load_photo(path: Path) -> Photo:
    """Read a photo of a person, without the black bars that screenshots of films have.

    Raises UserError as `read_picture` does, and for fewer than 256 pixels on a side.
    """
    rgb, complaints = _decode(path)
    rgb = _without_black_bars(rgb)
    height, width = rgb.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise UserError(
            f"{path}: {width} x {height} pixels are too few; use a photo of at least {MIN_SIDE} px on each side"
        )
    return Photo(rgb, file_sha256(path), path.name, complaints)


def cropped(photo: Photo, box: tuple[int, int, int, int]) -> Photo:
    """A part of a photo.

    box: left, top, width and height in pixels of `photo.rgb`. Raises UserError for a part that is not inside it, or has fewer
    than 256 pixels on a side.
    """
    left, top, width, height = box
    high, wide = photo.rgb.shape[:2]
    if min(left, top) < 0 or left + width > wide or top + height > high:
        raise UserError(
            f"{photo.name}: the part {width} x {height} at {left}, {top} is not inside its {wide} x {high} pixels"
        )
    if min(width, height) < MIN_SIDE:
        raise UserError(
            f"{photo.name}: the part of {width} x {height} pixels is too small; take one of at least {MIN_SIDE} px on"
            " each side"
        )
    return replace(
        photo, rgb=np.ascontiguousarray(photo.rgb[top : top + height, left : left + width])
    )


def read_picture(path: Path) -> UInt8Array:
    """Read a picture and bring it to 8-bit sRGB in display orientation. Returns (H, W, 3), at most 4096 pixels on a side.

    EXIF orientation and the embedded color profile are applied; transparency is laid over mid grey; palette, 16-bit, grey and
    CMYK pictures are converted. Of an animation the first frame is taken, and that is logged as a warning.
    Raises UserError when the file is missing, not a picture, damaged or larger than 120 megapixels.
    """
    rgb, complaints = _decode(path)
    for complaint in complaints:
        _log.warning("%s: %s", path.name, complaint)
    return rgb


def _decode(path: Path) -> tuple[UInt8Array, tuple[str, ...]]:
    complaints: list[str] = []
    try:
        with warnings.catch_warnings():
            # Pillow's on large pictures and odd metadata: judged here
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats(path)) as image:
                _check_size(path, image)
                if image.format in _ANIMATED and getattr(image, "is_animated", False):
                    complaints.append("an animation: only its first frame is used")
                if image.format in ("JPEG", "MPO"):
                    # Decodes at a half, a quarter or an eighth of the size
                    image.draft("RGB", (MAX_SIDE, MAX_SIDE))
                image.load()
                orientation, profile = _orientation(image), image.info.get("icc_profile")
                small = _reduced(image)
            small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
            rgb = _over_grey(small, profile, complaints)
            upright = rgb if orientation is None else rgb.transpose(orientation)
            return np.asarray(upright, dtype=np.uint8), tuple(complaints)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; give the path of a picture") from error
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the path of a picture"
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, MAX_PIXELS) from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{path}: not a picture that can be read; use a {_FORMAT_NAMES} file"
        ) from error
    except MemoryError as error:
        raise UserError(
            f"{path}: the picture needs more memory than there is; reduce it"
        ) from error
    except _DECODER_ERRORS as error:
        raise UserError(f"{path}: the picture is damaged ({error}); use an intact copy") from error


def _formats(path: Path) -> tuple[str, ...]:
    """What Pillow may take a file for. The HEIC decoder is loaded only for a file that says it is one."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] != b"ftyp" or head[8:11] not in _HEIF_BRANDS:
        return _FORMATS
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return ("AVIF", "HEIF")


def _check_size(path: Path, image: Image.Image) -> None:
    most = _MAX_PIXELS_OF.get(image.format or "", MAX_PIXELS)
    if image.width * image.height > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> UserError:
    return UserError(
        f"{path}: the picture has too many pixels; reduce it to {most // 1_000_000} megapixels or less"
    )


_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # what undoes each EXIF orientation


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """How to turn a picture upright; None where it is, or where its metadata cannot be read."""
    try:
        return _TRANSPOSES.get(image.getexif().get(0x0112, 1))
    except _DECODER_ERRORS:
        return None


def _reduced(image: Image.Image) -> Image.Image:
    """A picture in one of the modes L, LA, RGB, RGBA, CMYK and LAB, with less than twice MAX_SIDE on its longer side.

    Converted and reduced by a whole factor band by band, so that no second full-size copy is made.
    """
    factor = max(1, max(image.size) // MAX_SIDE)
    width, height = (-(-side // factor) for side in image.size)
    top = _white(image)
    mode = _converted(image.crop((0, 0, 1, 1)), top).mode
    if factor == 1 and mode == image.mode:
        return image.copy()
    small = Image.new(mode, (width, height))
    for start in range(0, image.height, _BAND * factor):
        band = image.crop((0, start, image.width, min(start + _BAND * factor, image.height)))
        small.paste(_converted(band, top).reduce(factor), (0, start // factor))
    return small


def _white(image: Image.Image) -> float:
    """The value of white in a picture of whole numbers or floats of unknown depth."""
    if not image.mode.startswith(("I", "F")):
        return 255.0
    _, most = image.getextrema()
    highest = float(most)  # pyright: ignore[reportArgumentType]  (one band: not a tuple of tuples)
    if image.mode == "F" and 0 < highest <= 1:
        return 1.0
    return 65535.0 if highest > 255 else 255.0


def _converted(image: Image.Image, white: float) -> Image.Image:
    """In a mode that resampling and color management know."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
        return Image.fromarray((np.clip(values / white, 0, 1) * 255 + 0.5).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("PA", "RGBa"):
        return image.convert("RGBA")
    if image.mode == "La":
        return image.convert("LA")
    if image.mode == "1":
        return image.convert("L")
    return (
        image if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB") else image.convert("RGB")
    )


def _over_grey(image: Image.Image, profile: bytes | None, complaints: list[str]) -> Image.Image:
    """In sRGB, with what is transparent laid over mid grey."""
    alpha = image.getchannel("A") if "A" in image.getbands() and image.mode != "LAB" else None
    opaque = image if alpha is None else image.convert(image.mode[:-1])
    rgb = _to_srgb(opaque, profile, complaints)
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, (128, 128, 128)), alpha)


def _to_srgb(image: Image.Image, profile: bytes | None, complaints: list[str]) -> Image.Image:
    """Colours through the embedded profile; without one RGB is sRGB, and CMYK is the plain complement."""
    if profile:
        if image.mode == "L" and profile[_PROFILE_SPACE] == b"RGB ":
            image = image.convert("RGB")  # a camera's black and white
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if _PROFILE_MODES.get(profile[_PROFILE_SPACE]) == image.mode:
                return _converted_by(source, image)
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            _log.debug("color profile: %s", error)
        complaints.append(
            "its color profile is damaged or of another kind of picture, so its colors may be off"
        )
    if image.mode == "LAB":
        return _converted_by(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), image)
    return image.convert("RGB")


def _converted_by(source: ImageCms.ImageCmsProfile, image: Image.Image) -> Image.Image:
    # perceptual as in browsers: a printer's black, which is a dark grey, becomes black. How a file was made is not in it: of a
    # face through a SWOP profile and back, mean dE76 is 1.6 (made with black point compensation, as image editors do) or 3.2
    # (without); relative colorimetric gives 3.2 and 2.2
    converted = ImageCms.profileToProfile(image, source, _SRGB, ImageCms.Intent.PERCEPTUAL, "RGB")
    assert converted is not None  # it is so only where the picture is changed in place
    return converted


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
    if not len(lit) or side - np.ptp(lit) - 1 > _MAX_BARS * side:
        return slice(0, side)
    light = brightest.mean(axis)
    ends = [0, side]
    for k, (at, inwards) in enumerate(((int(lit[0]), 1), (int(lit[-1]), -1))):
        # A bar ends at once, a dark corner of a picture grows lighter slowly
        if light[at + _SEAM * inwards] > 4 * _BLACK:
            ends[k] = at + k
    return slice(*ends)
