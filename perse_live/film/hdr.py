"""HDR and wide-gamut pictures to sRGB.

Transfer functions: ITU-R BT.2100-2, tables 4 (PQ) and 5 (HLG, with its system gamma of 1.2 at 1000 cd/m2). Tone mapping: the
EETF of ITU-R BT.2390-8, 5.4.1, on the largest component, so that hues stay. Reference white: 203 cd/m2 (ITU-R BT.2408-4, 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any

import numpy as np

from perse_live.arrays import Float32Array, Float64Array, FloatArray, UInt8Array
from perse_live.jit import kernel
from perse_live.srgb import to_linear, to_srgb

UInt16Array = np.ndarray[Any, np.dtype[np.uint16]]

REFERENCE_WHITE = 203.0
"""cd/m2 of a white sheet of paper in HDR."""
HLG_PEAK = 1000.0
"""cd/m2 of the nominal HLG display."""
_DARKEST_WHITE = (
    100.0  # cd/m2; a film that never reaches reference white is brightened up to SDR white at most
)
# Of the white; a film whose median and upper quartile are both brighter was not
# graded for a white of 203 cd/m2. A bright wall raises the median alone, a window the quartile alone.
_BRIGHT_MEDIAN, _BRIGHT_QUARTER = (0.35, 0.8)
_BRIGHTER_LATER = 2.0  # times what the first pictures show: room for what comes later
_TABLE = 4096  # entries of the tables; 12 bits
# Entries of the table from linear light to sRGB: 20 to a code where it is steepest
_SRGB_STEPS = 65536

_PRIMARIES_TO_BT709: dict[
    str, list[list[float]]
] = {  # linear light; BT.2407-0, 2.2, and SMPTE EG 432-1 with the white of D65
    "bt709": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "bt2020": [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    "p3": [[1.224940, -0.224940, 0], [-0.042057, 1.042057, 0], [-0.019638, -0.078636, 1.098274]],
}
_LUMA_BT2020 = (0.2627, 0.6780, 0.0593)  # BT.2100-2, table 6


class Transfer(Enum):
    """Transfer functions that are told apart."""

    SDR = "SDR"
    PQ = "PQ"
    HLG = "HLG"


@dataclass(frozen=True)
class WideColors:
    """Conversion of full-range RGB in a film's transfer function and primaries to sRGB."""

    transfer: Transfer
    primaries: str
    """bt709, bt2020 or p3."""
    peak: float
    """cd/m2 of the brightest that is kept apart from white."""
    white: float
    """cd/m2 of what becomes sRGB's white."""

    def to_srgb(self, picture: UInt16Array) -> UInt8Array:
        """picture: (H, W, 3), 0 to 65535. Returns (H, W, 3) sRGB."""
        return _to_srgb(
            np.ascontiguousarray(picture), *_tables(self), self.transfer is Transfer.HLG
        )


def wide_colors(transfer: Transfer, primaries: str) -> WideColors:
    """The standard's conversion; `exposed` fits it to a film."""
    if transfer is Transfer.SDR:
        return WideColors(transfer, primaries, 1.0, 1.0)
    return WideColors(transfer, primaries, HLG_PEAK, REFERENCE_WHITE)


def exposed(colors: WideColors, samples: Sequence[UInt16Array]) -> WideColors:
    """The conversion exposed for a film: white is not at 203 cd/m2 in every film.

    samples: pictures of the film as `WideColors.to_srgb` takes them. A film that never reaches reference white is brightened; one
    whose median is close to it or above was converted with its white further up, and is exposed for that one.
    """
    if colors.transfer is Transfer.SDR or not samples:
        return colors
    pixels = np.concatenate([picture[::4, ::4].reshape(-1, 3) for picture in samples])
    brightest = display_light(colors.transfer, pixels / 65535.0).max(-1)
    median, quarter, top = (float(value) for value in np.quantile(brightest, (0.5, 0.75, 0.999)))
    full = _full_scale(colors.transfer)
    graded = min(REFERENCE_WHITE, max(_DARKEST_WHITE, top))
    white = float(np.clip(min(median / _BRIGHT_MEDIAN, quarter / _BRIGHT_QUARTER), graded, full))
    peak = max(white, min(_BRIGHTER_LATER * top, full))
    return replace(colors, peak=peak, white=white)


def display_light(transfer: Transfer, coded: FloatArray) -> Float64Array:
    """coded: (..., 3) in [0, 1], full range. Returns (..., 3) cd/m2, SDR in [0, 1]."""
    if transfer is Transfer.PQ:
        return pq_to_nits(coded)
    if transfer is Transfer.SDR:
        return to_linear(coded).astype(np.float64)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    luminance = scene @ np.array(_LUMA_BT2020)
    return HLG_PEAK * scene * (luminance**0.2)[..., None]


def pq_to_nits(coded: FloatArray) -> Float64Array:
    """PQ's EOTF: [0, 1] to cd/m2."""
    root = np.asarray(coded, np.float64) ** (1 / 78.84375)
    return 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
        1 / 0.1593017578125
    )


def nits_to_pq(nits: FloatArray) -> Float64Array:
    """The inverse: cd/m2 to [0, 1]."""
    power = (np.asarray(nits, np.float64) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def tone_mapped(nits: FloatArray, peak: float, white: float) -> Float64Array:
    """BT.2390's EETF with blacks left alone: cd/m2 up to `peak` to cd/m2 up to `white`; what is dark stays as it is."""
    source = nits_to_pq(np.array(peak))
    most = float(nits_to_pq(np.array(white)) / source)
    knee = 1.5 * most - 0.5
    level = np.minimum(nits_to_pq(nits) / source, 1)
    if most >= 1:
        return np.minimum(np.asarray(nits, np.float64), white)
    t = (level - knee) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_to_nits(np.where(level < knee, level, spline) * source)


def to_srgb_reference(colors: WideColors, picture: UInt16Array) -> UInt8Array:
    """The plain reference of `WideColors.to_srgb`, in float64."""
    light = display_light(colors.transfer, picture / 65535.0)
    if colors.transfer is not Transfer.SDR:
        largest = np.maximum(light.max(-1, keepdims=True), 1e-9)
        light = light * (tone_mapped(largest, colors.peak, colors.white) / largest) / colors.white
    linear = light @ np.array(_PRIMARIES_TO_BT709[colors.primaries]).T
    return np.rint(255 * to_srgb(linear)).astype(np.uint8)


def _full_scale(transfer: Transfer) -> float:
    """What 1 in `_linear_table` stands for, cd/m2."""
    return {Transfer.SDR: 1.0, Transfer.PQ: 10_000.0, Transfer.HLG: HLG_PEAK}[transfer]


@lru_cache(maxsize=4)
def _tables(
    colors: WideColors,
) -> tuple[Float32Array, Float32Array, Float32Array, UInt8Array, Float32Array]:
    """What a film's conversion looks up; each as its function says."""
    primaries = np.array(_PRIMARIES_TO_BT709[colors.primaries], np.float32)
    return (
        _linear_table(colors.transfer),
        _system_gamma_table(),
        _gain_table(colors),
        _srgb_table(),
        primaries,
    )


def _linear_table(transfer: Transfer) -> Float32Array:
    """(4096,) for each 12-bit code its light, 1 at full scale; for HLG scene light."""
    codes = np.linspace(0, 1, _TABLE)
    if transfer is not Transfer.HLG:
        return (display_light(transfer, codes) / _full_scale(transfer)).astype(np.float32)
    # Equal components: scene light ** 1.2
    neutral = display_light(transfer, np.repeat(codes[:, None], 3, 1))[:, 0] / HLG_PEAK
    return (neutral ** (1 / 1.2)).astype(np.float32)


def _system_gamma_table() -> Float32Array:
    """(4096,) HLG's luminance ** 0.2, over the square root of luminance."""
    return (np.linspace(0, 1, _TABLE) ** 0.4).astype(np.float32)


def _gain_table(colors: WideColors) -> Float32Array:
    """(4096,) what light is multiplied with, so that white is 1, over the square root of the largest component at full scale."""
    full = _full_scale(colors.transfer)
    if colors.transfer is Transfer.SDR:
        return np.ones(_TABLE, np.float32)
    nits = np.maximum(np.linspace(0, 1, _TABLE) ** 2 * full, 1e-6)
    return (tone_mapped(nits, colors.peak, colors.white) / nits * full / colors.white).astype(
        np.float32
    )


def _srgb_table() -> UInt8Array:
    """(65536,) sRGB over linear light."""
    return np.rint(255 * to_srgb(np.linspace(0, 1, _SRGB_STEPS))).astype(np.uint8)


@kernel
def _to_srgb(
    picture: UInt16Array,
    light: Float32Array,
    gamma: Float32Array,
    gain: Float32Array,
    srgb: UInt8Array,
    primaries: Float32Array,
    hlg: bool,
) -> UInt8Array:  # (H, W, 3), (4096,), (4096,), (4096,), (65536,), (3, 3)
    height, width = picture.shape[:2]
    out = np.empty((height, width, 3), np.uint8)
    half, one, zero, last = (
        np.float32(0.5),
        np.float32(1),
        np.float32(0),
        np.float32(light.size - 1),
    )
    for y in range(height):
        for x in range(width):
            r, g, b = (
                light[picture[y, x, 0] >> 4],
                light[picture[y, x, 1] >> 4],
                light[picture[y, x, 2] >> 4],
            )
            if hlg:
                luminance = np.float32(0.2627) * r + np.float32(0.6780) * g + np.float32(0.0593) * b
                bright = gamma[int(np.sqrt(min(luminance, one)) * last + half)]
                r, g, b = r * bright, g * bright, b * bright
            factor = gain[int(np.sqrt(min(max(r, max(g, b)), one)) * last + half)]
            for k in range(3):
                linear = (primaries[k, 0] * r + primaries[k, 1] * g + primaries[k, 2] * b) * factor
                out[y, x, k] = srgb[
                    int(min(max(linear, zero), one) * np.float32(srgb.size - 1) + half)
                ]
    return out
