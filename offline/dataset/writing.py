"""Writing the pictures of frames: each file whole or not there, so that a data set that broke off goes on.

Formats by measurement (docs/dataset-format.md): JPEG for colours, PNG for everything that must stay exact.
"""

from __future__ import annotations

import io
import os
import secrets
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from offline.animation.guide_maps import GuideMaps, SemanticClass
from offline.dataset.layout import DEPTH_UNIT, DatasetFrame, FrameFiles
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.errors import UserError
from perse_live.files import write_error

_JPEG = (
    int(cv2.IMWRITE_JPEG_QUALITY),
    95,
    int(cv2.IMWRITE_JPEG_SAMPLING_FACTOR),
    int(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
# Run lengths only: a fifth smaller than zlib's level 1 on masks and normals, and no slower
_PNG = (
    int(cv2.IMWRITE_PNG_COMPRESSION),
    1,
    int(cv2.IMWRITE_PNG_STRATEGY),
    int(cv2.IMWRITE_PNG_STRATEGY_RLE),
)
_MOST_STEPS = 65535
_PALETTE: dict[SemanticClass, tuple[int, int, int]] = {
    SemanticClass.BACKGROUND: (0, 0, 0),
    SemanticClass.SKIN: (233, 180, 150),
    SemanticClass.BODY: (190, 130, 100),
    SemanticClass.EYES: (70, 150, 220),
    SemanticClass.EYEBROWS: (110, 70, 40),
    SemanticClass.NOSE: (250, 205, 170),
    SemanticClass.MOUTH: (215, 70, 90),
    SemanticClass.MOUTH_INTERIOR: (250, 245, 235),
    SemanticClass.HAIR: (90, 60, 150),
    SemanticClass.BEARD: (140, 90, 60),
    SemanticClass.CLOTH: (60, 140, 100),
    SemanticClass.HAT: (230, 160, 40),
    SemanticClass.GLASSES: (40, 200, 200),
    SemanticClass.EARRINGS: (250, 230, 80),
    SemanticClass.HEADPHONES: (160, 160, 170),
    SemanticClass.OTHER: (200, 60, 200),
}

SUFFIXES = {
    "rgb": ".jpg",
    "alpha": ".png",
    "part": ".png",
    "depth": ".png",
    "normals": ".png",
    "semantic": ".png",
    "landmarks": ".npy",
}
"""Of the files of each kind; the kind is the folder's name."""


def frame_files(look: Path, index: int, *, part: bool, geometry: Path | None = None) -> FrameFiles:
    """Where a frame's files lie in a look's folder.

    part: whether the look has a mask of its part. geometry: the folder of the look whose alpha, depth, normals, classes and
    landmarks hold for this one too; None: its own.
    """

    def place(folder: Path, kind: str) -> Path:
        return folder / kind / f"{index:05d}{SUFFIXES[kind]}"

    maps = look if geometry is None else geometry
    return FrameFiles(
        place(look, "rgb"),
        place(maps, "alpha"),
        place(look, "part") if part else None,
        place(maps, "depth"),
        place(maps, "normals"),
        place(maps, "semantic"),
        place(maps, "landmarks"),
    )


def write_frame(
    frame: DatasetFrame, rgb: UInt8Array, part: UInt8Array | None, maps: GuideMaps | None
) -> None:
    """Write a frame's pictures into folders that exist; of its maps, those that are not another look's.

    rgb: (H, W, 3); part: (H, W) from 0 to 255, where the look is seen; part and maps: None where the frame has none of its own.
    Raises UserError where a file cannot be written.
    """
    files = frame.files
    own = files.rgb.parent.parent
    write_whole(files.rgb, _cv2(".jpg", rgb[..., ::-1], _JPEG))
    if files.part is not None and part is not None:
        write_whole(files.part, _cv2(".png", part, _PNG))
    if maps is None:
        return
    for path, encode in (
        (files.alpha, lambda: _cv2(".png", maps.alpha, _PNG)),
        (files.depth, lambda: _cv2(".png", coded_depth(maps.depth), _PNG)),
        (files.normals, lambda: _cv2(".png", coded_normals(maps.normals)[..., ::-1], _PNG)),
        (files.semantic, lambda: _with_palette(maps.semantic)),
        (files.landmarks, lambda: _npy(maps.landmarks)),
    ):
        if path is not None and path.is_relative_to(own):
            write_whole(path, encode())


def coded_depth(depth: Float32Array) -> np.ndarray:
    """A depth map (H, W) in metres as 16 bits."""
    return np.rint(depth * np.float32(1 / DEPTH_UNIT)).clip(0, _MOST_STEPS).astype(np.uint16)


def coded_normals(normals: Float32Array) -> UInt8Array:
    """Normals (H, W, 3) of OpenCV's camera frame as colours in OpenGL's; black where there is none."""
    x, y, z = (normals[..., k] for k in range(3))
    seen = (x != 0) | (y != 0) | (z != 0)
    # halves are rounded up by what follows
    channels = [
        (127.5 * seen * (sign * one + 1) + 0.5 * seen) for sign, one in ((1, x), (-1, y), (-1, z))
    ]
    return np.asarray(
        cv2.merge([np.minimum(one, 255).astype(np.uint8) for one in channels]), np.uint8
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name, then rename it: it is there as a whole or not at all.

    Unlike `perse_live.files.write_bytes` it does not wait for the disk: a frame that a power cut has lost is drawn again.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.part{path.suffix}")
    try:
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def _cv2(suffix: str, image: np.ndarray, parameters: tuple[int, ...]) -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(image), parameters)
    if not done:
        raise UserError(
            f"a picture of {image.shape[1]} x {image.shape[0]} pixels cannot be encoded"
        )
    return data.tobytes()


def _with_palette(classes: UInt8Array) -> bytes:
    image = Image.fromarray(classes, "P")
    image.putpalette([channel for one in SemanticClass for channel in _PALETTE[one]])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _npy(array: Float32Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array.astype(np.float32), allow_pickle=False)
    return buffer.getvalue()
