"""Directions and brightness of strands where the photo shows no hair: from the whorl downwards, with the photo's contrast."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from offline.images import mean_around
from offline.numeric import normalized
from offline.priors import DARKEST, ENOUGH
from perse_live.arrays import BoolArray, Float32Array, FloatArray

# Metres, head frame: centre of the sphere that strands follow
_MIDDLE = np.array([0.0, 0.01, -0.088])
# Unit, head frame: direction from the centre to the whorl, at the back of the crown
_WHORL = np.array([0.0, 0.94, -0.34])
_BELOW = 0.03  # metres below the centre over which strands pass from following the sphere to hanging down
_STREAK = 0.014  # metres, standard deviation along the strand
_NARROW, _PACKED = (
    0.35,
    1.77,
)  # deviation across, in spacings; spacing over the radius per root of the neighbours


def unseen_direction(places: FloatArray) -> FloatArray:
    """Directions of strands, (N, 3) unit: away from the whorl, then straight down. places: (N, 3) metres, head frame."""
    out = normalized(places - _MIDDLE)
    away = normalized((out @ _WHORL)[:, None] * out - _WHORL)
    hanging = np.clip((_MIDDLE[1] - places[:, 1]) / _BELOW, 0, 1)[:, None]
    return normalized((1 - hanging) * away + hanging * np.array([0.0, -1.0, 0.0]))


def along_strands(places: FloatArray, along: FloatArray, values: FloatArray) -> FloatArray:
    """Values (N, C) averaged along strands, so that what varies at random becomes streaks; mean and deviation stay as they are.

    Line integral convolution (Cabral and Leedom 1993) on points: places (N, 3) metres, along (N, 3) directions of the strands.
    """
    count = len(places)
    if count <= ENOUGH:
        return values
    units = normalized(along)
    near = np.asarray(KDTree(places).query(places, k=ENOUGH)[1])
    away = places[near] - places[:, None]
    ahead = (away * units[:, None]).sum(2)
    aside = (away**2).sum(2) - ahead**2
    spacing = _PACKED * np.sqrt((away**2).sum(2).max(1, keepdims=True) / ENOUGH)
    weights = np.exp(
        -0.5 * ((ahead / _STREAK) ** 2 + np.maximum(aside, 0) / (_NARROW * spacing) ** 2)
    )
    mixed = np.einsum("nk,nkc->nc", weights, values[near]) / weights.sum(1, keepdims=True)
    deviation = values.std(0) / np.maximum(mixed.std(0), 1e-6)
    return values.mean(0) + deviation * (mixed - mixed.mean(0))


def relative_brightness(image: Float32Array, hair: BoolArray, around: float) -> Float32Array:
    """Brightness of the photo's strands over that of the hair around them, (H, W, 3): 1 on average, and 1 where there is no hair.

    Per channel, because highlights are less saturated than the hair. image: (H, W, 3); hair: (H, W); around: standard
    deviation of the neighbourhood, pixels.
    """
    light = image + np.float32(0.01)  # so that noise in black hair does not count as strands
    relative = light / np.maximum(mean_around(light, hair, around), DARKEST)
    return np.where(hair[..., None], relative, 1).astype(np.float32)
