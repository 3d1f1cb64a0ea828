"""Films for tests, made and shown by the ffmpeg command: an independent writer and reader."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from perse_live.arrays import UInt8Array

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="the ffmpeg command, to compare with, is not installed"
)

MATRICES = {  # (a, b, c, d): shown (x, y) = (a x + c y, b x + d y), y downwards
    "upright": (1, 0, 0, 1),
    "clockwise": (0, 1, -1, 0),
    "upside down": (-1, 0, 0, -1),
    "counter-clockwise": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "flipped": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "anti-transposed": (0, -1, -1, 0),
}


@dataclass(frozen=True)
class Look:
    """How a film is stored."""

    width: int = 64
    height: int = 48
    pixel_format: str = "yuv420p"
    matrix: str = "bt709"
    color_range: str = "tv"
    aspect: Fraction = Fraction(1)
    orientation: str = "upright"


def picture(width: int, height: int) -> UInt8Array:
    """(height, width, 3) smooth and coloured, different at all corners."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [20 + 200 * x / width, 210 - 180 * y / height, 40 + 170 * x * y / (width * height)]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def ffmpeg(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run the command. Returns what it writes to standard output."""
    command = (
        ["ffmpeg", "-nostdin", "-v", "error", "-y"]
        if not stdin
        else ["ffmpeg", "-v", "error", "-y"]
    )
    done = subprocess.run([*command, *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def make_film(path: Path, look: Look, pictures: Sequence[UInt8Array] = ()) -> Path:
    """A nearly lossless H.264 film of pictures (H, W, 3), all of the look's size; by default of one."""
    shown = pictures or [picture(look.width, look.height)]
    ffmpeg(
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{look.width}x{look.height}",
        "-r",
        "25",
        "-i",
        "-",
        "-vf",
        f"scale=out_color_matrix={look.matrix}:out_range={look.color_range}:flags=accurate_rnd+full_chroma_int,"
        f"format={look.pixel_format},setsar={look.aspect.numerator}/{look.aspect.denominator}",
        "-c:v",
        "libx264",
        "-qp",
        "4",
        "-colorspace",
        _LABELS.get(look.matrix, look.matrix),
        "-color_range",
        look.color_range,
        str(path),
        stdin=b"".join(one.tobytes() for one in shown),
    )
    if look.orientation != "upright":
        turn(path, MATRICES[look.orientation])
    return path


_LABELS = {"bt601": "smpte170m", "bt2020": "bt2020nc"}


def turn(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Patch the display matrix of an MP4 (ISO/IEC 14496-12, 8.3.2, tkhd), as phones write it."""
    content = bytearray(path.read_bytes())
    one = 1 << 16
    a, b, c, d = matrix
    start = content.index(b"tkhd") + 44
    values = (round(a * one), round(b * one), 0, round(c * one), round(d * one), 0, 0, 0, 1 << 30)
    content[start : start + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in values
    )
    path.write_bytes(content)


def rendered(path: Path, width: int, height: int, *filters: str) -> list[UInt8Array]:
    """What the ffmpeg command shows: upright by the display matrix, square pixels, RGB; its size must be the one given."""
    chain = [
        *filters,
        "scale=trunc(iw*sar+0.5):ih:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp",
        "setsar=1",
    ]
    raw = ffmpeg(
        "-i",
        str(path),
        "-vf",
        ",".join(chain),
        "-pix_fmt",
        "rgb24",
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-",
    )
    assert len(raw) % (width * height * 3) == 0
    return list(np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3))


def mean_error(a: UInt8Array, b: UInt8Array) -> float:
    return float(np.abs(a.astype(np.float32) - b).mean())
