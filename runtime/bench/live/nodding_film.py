"""A film for Chromium's fake camera whose picture changes at a known moment: a face that is tilted one way, then the other."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.film.reader import open_film

WIDTH, HEIGHT, RATE = 640, 480, 30
HALF_SECONDS = 1.5
"""For which the face stays tilted one way."""
_DEGREES = 7.0
_MARK = 32  # pixels of the square that is white while the face is tilted to the right


def write_nodding_film(video: Path, film: Path) -> None:
    """The first picture of a video as a raw film (Y4M) of two half periods.

    Raises UserError where the video cannot be read.
    """
    with closing(open_film(video).frames()) as frames:
        picture = next(frames).image
    with film.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{RATE}:1 Ip A1:1 C420jpeg\n".encode())
        for sign, white in ((1, True), (-1, False)):
            tilted = _tilted(picture, sign * _DEGREES, white)
            planes = np.asarray(cv2.cvtColor(tilted, cv2.COLOR_RGB2YUV_I420), np.uint8).tobytes()
            for _ in range(round(HALF_SECONDS * RATE)):
                file.write(b"FRAME\n" + planes)


def _tilted(picture: UInt8Array, degrees: float, white: bool) -> UInt8Array:
    height, width = picture.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    turn[:, 2] += (WIDTH / 2 - width / 2, HEIGHT / 2 - height / 2)
    tilted = np.asarray(
        cv2.warpAffine(
            picture, turn, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )
    tilted[:_MARK, :_MARK] = 235 if white else 16
    return tilted
