"""How hair lies on a head that no photo shows from there: strands run from the whorl down, light and dark as the photo's."""

from __future__ import annotations

import numpy as np

from offline.images import blur, nearest_true
from offline.numeric import normalized
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array

_MIDDLE = np.array([0.0, 0.01, -0.088])  # metres, head frame: about what strands go round
_WHORL = np.array([0.0, 0.94, -0.34])  # unit, head frame: the way from there to the whorl, at the back of the crown
_BELOW = 0.03  # metres under the middle over which strands cease to go round and hang down
_DARKEST, _BRIGHTEST = 0.45, 1.9  # of the hair around them that locks and strands are
_NEARER = (1.0, 0.5, 0.25)  # of the way to the hair's edge that is gone on beyond it, for a mirror image that is hair again


def lying(places: FloatArray) -> FloatArray:
    """Which way strands run, (N, 3) unit: away from the whorl, lower down straight down. places: (N, 3) metres, head frame."""
    out = normalized(places - _MIDDLE)
    away = normalized((out @ _WHORL)[:, None] * out - _WHORL)
    hanging = np.clip((_MIDDLE[1] - places[:, 1]) / _BELOW, 0, 1)[:, None]
    return normalized((1 - hanging) * away + hanging * np.array([0.0, -1.0, 0.0]))


def mirrored_into(hair: BoolArray) -> Int32Array:
    """For each pixel (H, W) one of `hair` (H, W), row and column, (H, W, 2): itself, or its mirror image at the hair's edge.

    Where hair is narrower than the way to it is long, the mirror is nearer. At least one pixel must be hair.
    """
    _, *found = nearest_true(hair)
    own, edge = np.moveaxis(np.indices(hair.shape), 0, -1), np.stack(found, -1)
    result = edge.astype(np.int32)
    for share in reversed(_NEARER):
        there = np.clip(np.rint(edge + share * (edge - own)), 0, np.array(hair.shape) - 1).astype(np.int32)
        result = np.where(hair[there[..., 0], there[..., 1]][..., None], there, result)
    return result


def light_and_dark(image: Float32Array, hair: BoolArray, around: float) -> Float32Array:
    """How the photo's locks and strands differ from the hair around them, (H, W, 3): on average 1, and 1 where is no hair.

    By channel, for what shines has less of the hair's colour. image: (H, W, 3); hair: (H, W); around: pixels over which
    surroundings are taken.
    """
    light = image + np.float32(0.01)  # black hair's noise is no strand
    mean = blur(light * hair[..., None], around) / np.maximum(blur(hair, around), 1e-3)[..., None]
    relative = np.clip(light / np.maximum(mean, 0.02), _DARKEST, _BRIGHTEST)
    return np.where(hair[..., None], relative, 1).astype(np.float32)
