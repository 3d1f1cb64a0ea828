"""Removal of the folds that the photo's expression causes: a face at rest does not have them.

The difference is kept and comes back with the actions that caused it (`offline.correctives.wrinkles`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from offline.images import blur, dilate, disk, distance_to, fill_from, polygon
from offline.numeric import ramp
from offline.priors import DARKEST, ENOUGH
from offline.rig.neutral_expression import smile_of
from offline.segment.landmark_masks import eye_openings
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.evaluation.regions import folding_skin
from perse_live.head.expressions import indices
from perse_live.head.landmarks import HAIRLINE, LEFT_BROW, OUTER_LIP_RING, RIGHT_BROW, mirrored

_CORE = 6.0  # pixels (eye distance 115): half of the widest fold that is filled
# Pixels (eye distance 115) around these, and around brows, in which there are no folds
_OFF_LIPS, _OFF_EYES = (1.5, 5.0)
NASOLABIAL = (129, 203, 206, 216, 212)
"""Landmarks from the right side of the nose to that of the mouth."""
_DETAIL = (0.0008, 0.0018)  # of skin without wrinkles, and of skin that has the model's


@dataclass(frozen=True)
class _Fold:
    """Dark lines of the skin near polylines of landmarks."""

    lines: tuple[tuple[int, ...], ...]
    """On the subject's right, or across the middle; the left is its mirror image."""
    width: float
    """Pixels (eye distance 115) around the lines of the search: a standard deviation."""
    actions: tuple[str, ...]
    """That draw them; on both sides."""
    full: float
    """Mean strength of these from which the lines are all the expression's."""
    faded: float
    """Of a line's darkness, then."""


_FOLDS = {
    "nasolabial": _Fold(
        (
            (*NASOLABIAL, 202),
            (186, 57, 43),
        ),
        9.0,
        ("mouthSmile", "mouthUpperUp"),
        0.6,
        0.65,
    ),
    "glabella": _Fold(((107, 55, 193), (9, 8, 168)), 7.0, ("browDown",), 0.5, 0.75),
    "forehead": _Fold(
        ((68, 104, 69, 108, 151, 337, 299, 333, 298), HAIRLINE),
        12.0,
        ("browInnerUp", "browOuterUp"),
        0.6,
        0.65,
    ),
    "crow": _Fold(((33, 130, 143, 34, 127),), 9.0, ("mouthSmile",), 0.8, 0.5),
}


def fold_strengths(expression: FloatArray) -> dict[str, float]:
    """How far each kind of fold is the doing of an expression (52,), in [0, 1]."""
    strength = np.asarray(expression, np.float64)
    found = {}
    for name, fold in _FOLDS.items():
        sides = [
            action if action == "browInnerUp" else action + side
            for action in fold.actions
            for side in ("Left", "Right")
        ]
        found[name] = float(np.clip(strength[indices(sides)].mean() / fold.full, 0, 1))
    return found | {"nasolabial": smile_of(expression)}


def wrinkle_depth(
    image: Float32Array, skin: BoolArray, landmarks: FloatArray, unit: float
) -> float:
    """How deep wrinkles of such skin may be, over the model's, in [0, 1]: next to none on drawn or airbrushed skin.

    Arguments as of `without_folds`. Evidence is the fine detail of forehead and cheeks: the median difference of Gaussians of 1
    and 2 pixels (eye distance 115) over the brightness. It is 0.0012 to 0.0034 on six clips of film, 0.0014 on a studio portrait
    without a pore, 0.0009 on a rendered drawing. Canvas and grain have more, so more is not taken for more wrinkles.
    """
    plain = skin & folding_skin(landmarks[:, :2], *skin.shape)
    if plain.sum() < ENOUGH:
        return 1.0
    luma = image.mean(2)
    detail = np.abs(blur(luma, unit) - blur(luma, 2 * unit))[plain]
    share = float(np.median(detail)) / max(float(luma[plain].mean()), DARKEST)
    return float(ramp(np.array(share), *_DETAIL))


def without_folds(
    image: Float32Array,
    skin: BoolArray,
    landmarks: FloatArray,
    unit: float,
    strengths: Mapping[str, float],
) -> Float32Array:
    """The portrait with dark lines filled by the light on both sides of them (a morphological closing).

    image: (H, W, 3) in [0, 1]; skin: (H, W) pixels of plain skin; landmarks: (478, 2+) pixels; unit: pixels, eye distance / 115;
    strengths: as of `fold_strengths`. Returns (H, W, 3), nowhere darker.
    """
    if not any(strengths.values()):
        return image
    shape = skin.shape
    lips, *brows = (
        polygon(landmarks[list(ring), :2], shape)
        for ring in (OUTER_LIP_RING, _ring(LEFT_BROW), _ring(RIGHT_BROW))
    )
    usable = skin & ~dilate(lips, _OFF_LIPS * unit) & ~dilate(brows[0] | brows[1], _OFF_EYES * unit)
    usable &= ~dilate(eye_openings(landmarks, shape), _OFF_EYES * unit)
    known = blur(fill_from(image, usable), 0.7 * unit)
    filled = blur(cv2.morphologyEx(known, cv2.MORPH_CLOSE, disk(_CORE * unit)), 2.0 * unit)
    share = np.zeros(shape, np.float32)
    for name, strength in strengths.items():
        fold = _FOLDS[name]
        drawn = np.zeros(shape, np.uint8)
        for line in (*fold.lines, *map(mirrored, fold.lines)):
            pixels = np.round(landmarks[list(line), :2]).astype(np.int32)
            cv2.polylines(drawn, [pixels], False, 1, 1)
        near = np.exp(-0.5 * (distance_to(drawn > 0) / (fold.width * unit)) ** 2)
        share = np.maximum(share, fold.faded * strength * near)
    share = share * ramp(distance_to(~usable), 0.0, 2.0 * unit)
    return np.clip(image + share[..., None] * np.maximum(filled - known, 0), 0, 1).astype(
        np.float32
    )


def _ring(brow: tuple[int, ...]) -> tuple[int, ...]:
    """Around a brow: its upper edge, and the lower one back."""
    return (*brow[:5], *reversed(brow[5:]))
