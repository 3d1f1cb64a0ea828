""".spz, Niantic's compressed format, version 2 (github.com/nianticlabs/spz, README "File Format"): a tenth of the PLY's size.

Axes: right, up, back (OpenGL's), which is the head frame as it is. Metres.
"""

from __future__ import annotations

import gzip
import io
import math
import struct

import numpy as np

from export.harmonics import sh_from_rgb
from perse_live.arrays import Float32Array, FloatArray, UInt8Array
from perse_live.errors import UserError
from perse_live.files import CREATOR
from perse_live.gaussians import Gaussians
from perse_live.rotations import multiply

_MAGIC = 0x5053474E
_VERSION = 2  # every reader knows it; not all know 3, which only packs quaternions in another way
_MAX_BITS = 20  # after the point: micrometres, 8 m either way; the 12 (0.24 mm) of Niantic's writer are too coarse for an iris
_COLOR_SCALE = 0.15


def spz_bytes(gaussians: Gaussians) -> bytes:
    """Positions in fixed point of 24 bits, opacities, colours, logarithms of scale and quaternions in 8.

    gaussians: head frame. Scales below 45 micrometres become that: the format knows no smaller.
    Raises UserError where a Gaussian is too far away for the format (8 km).
    """
    reach = float(np.abs(gaussians.means).max(initial=0.0))
    bits = min(_MAX_BITS, math.floor(23 - math.log2(reach + 1e-3)))
    if bits < 10:
        raise UserError(
            f"the avatar has a Gaussian {reach:.0f} m from its head, which .spz cannot hold: export another format"
        )
    header = struct.pack("<IIIBBBB", _MAGIC, _VERSION, len(gaussians), 0, bits, 0, 0)
    fixed = np.rint(gaussians.means.astype(np.float64) * 2**bits).astype("<i4")
    positions = fixed.reshape(-1, 1).view(np.uint8).reshape(-1, 4)[:, :3]
    alphas = _bytes(gaussians.opacities * 255)
    colors = _bytes((sh_from_rgb(gaussians.colors) * _COLOR_SCALE + 0.5) * 255)
    scales = _bytes((np.log(gaussians.scales) + 10) * 16)
    parts = (positions, alphas, colors, scales, _rotations(gaussians.quats))
    content = io.BytesIO()
    # Says where it comes from in the gzip header's name
    with gzip.GzipFile(CREATOR, "wb", fileobj=content, mtime=0) as file:
        file.write(header + b"".join(part.tobytes() for part in parts))
    return content.getvalue()


def _bytes(values: FloatArray) -> UInt8Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _rotations(quats: Float32Array) -> UInt8Array:
    """Quaternions as x, y and z about 127.5, where the reader takes w to be positive and the rest of unit length.

    w is lost where it is small. But a Gaussian looks the same after a half turn about one of its axes, and one of the four
    quaternions that mean the same so has its largest component in w, at least 1/2. quats: (G, 4) wxyz, unit length.
    Returns (G, 3).
    """
    half_turns = np.eye(4, dtype=np.float32)[np.abs(quats).argmax(1)]
    turned = multiply(quats, half_turns)
    turned = np.where(turned[:, :1] < 0, -turned, turned)
    return _bytes(turned[:, 1:] * 127.5 + 127.5)
