"""ICC profiles made by formula, and the colors they mean: Display P3, and a printer of overlapping dots (Neugebauer 1937)."""

from __future__ import annotations

import struct
from itertools import product

import numpy as np
from skimage.color import lab2xyz

from perse_live.arrays import Float64Array, UInt8Array

_P3_TO_XYZ_D50 = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
_SRGB_TO_XYZ_D50 = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
_GRID = 9  # points along each ink in the table
# Cyan, magenta, yellow and black on paper; CIELAB
_INKS = np.array([[60.0, -28, -36], [50, 60, -5], [85, -6, 75], [12, 0, 0]])


def display_p3_profile() -> bytes:
    """A matrix profile: P3's primaries, D65 adapted to D50, sRGB's curve as a table."""
    curve = np.round(_linear(np.arange(1024) / 1023) * 65535).astype(">u2").tobytes()
    tags = {b"wtpt": _xyz(0.9642, 1.0, 0.8249)}
    for name, column in zip((b"r", b"g", b"b"), _P3_TO_XYZ_D50.T, strict=True):
        tags[name + b"XYZ"] = _xyz(*column)
        tags[name + b"TRC"] = b"curv" + bytes(4) + struct.pack(">I", 1024) + curve
    return _profile(b"RGB ", b"XYZ ", b"mntr", tags)


def to_display_p3(
    rgb: UInt8Array,  # (H, W, 3) sRGB
) -> UInt8Array:
    """The same colors in Display P3. Returns (H, W, 3)."""
    matrix = np.linalg.inv(_P3_TO_XYZ_D50) @ _SRGB_TO_XYZ_D50
    return _encoded(_linear(rgb / 255) @ matrix.T)


def cmyk_profile() -> bytes:
    """A printer as a table from ink to CIELAB."""
    steps = np.arange(_GRID) / (_GRID - 1)
    lab = _lab_of(
        np.stack(np.meshgrid(steps, steps, steps, steps, indexing="ij"), -1).reshape(-1, 4)
    )
    table = np.clip(np.round(lab * [2.55, 1, 1] + [0, 128, 128]), 0, 255).astype(np.uint8)
    straight = bytes(range(256))
    lut = (
        b"mft1"
        + bytes(4)
        + bytes([4, 3, _GRID, 0])
        + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
        + straight * 4
        + table.tobytes()
        + straight * 3
    )
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": lut, b"wtpt": _xyz(0.9642, 1.0, 0.8249)})


def printed_colors(
    ink: UInt8Array,  # (H, W, 4)
) -> UInt8Array:
    """What that printer makes of ink, as sRGB. Returns (H, W, 3)."""
    xyz = lab2xyz(_lab_of(ink / 255.0), illuminant="D50")
    return _encoded(xyz @ np.linalg.inv(_SRGB_TO_XYZ_D50).T)


def _lab_of(ink: Float64Array) -> Float64Array:
    """(..., 4) shares of the paper under each ink, as if dots overlapped by chance. Returns (..., 3)."""
    lab = np.zeros((*ink.shape[:-1], 3))
    for inks in product((0, 1), repeat=4):
        share = np.prod(np.where(inks, ink, 1 - ink), -1)
        together = [one for one, there in zip(_INKS, inks, strict=True) if there]
        color = (
            np.mean(together, 0) * [0.8 ** (len(together) - 1), 1, 1]
            if together
            else np.array([96.0, 0, 0])
        )
        lab += share[..., None] * color
    return lab


def _linear(encoded: Float64Array) -> Float64Array:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Float64Array) -> UInt8Array:
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


def _xyz(*values: float) -> bytes:
    return (
        b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
    )


def _profile(space: bytes, connection: bytes, device: bytes, tags: dict[bytes, bytes]) -> bytes:
    """ICC.1:2001-04 (version 2): a header of 128 bytes, a table of tags, the tags."""
    text = b"made by a test\0"
    tags = {
        **tags,
        b"cprt": b"text" + bytes(4) + text,
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
    }
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s",
        at + len(body),
        bytes(4),
        0x02400000,
        device,
        space,
        connection,
        bytes(12),
        b"acsp",
    )
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body
