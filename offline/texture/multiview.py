"""One colour for each point of the skin out of several pictures that see it.

Pictures of one person differ in light, white balance and exposure. The ratio is estimated where both show a point well, smoothed
over the face, and applied to points that only the other picture shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from offline.numeric import ratio
from offline.priors import DARKEST, ENOUGH
from offline.texture.completion import SURE
from perse_live.arrays import FloatArray

_REACH = 0.02  # metres on the mean head that the local light is learnt from
_PRIOR = 4.0  # how many points the light of the whole face counts for
_MOST_GAIN = 1.8  # between two pictures' light; a greater one is no light


@dataclass(frozen=True, eq=False)
class SeenColors:
    """What one picture shows of the N points."""

    observed: FloatArray
    """(N, 3) in [0, 1]."""
    confidence: FloatArray
    """(N,) in [0, 1]."""


def merged_colors(rest: FloatArray, own: SeenColors, others: Sequence[SeenColors]) -> SeenColors:
    """The portrait's colours, and where it does not see a point well, those of the other pictures in the portrait's light.

    rest: (N, 3) metres, the points on the mean head. A point's confidence never falls.
    """
    weight, color = np.zeros(len(rest)), np.zeros((len(rest), 3))
    best = np.zeros(len(rest))
    for other in others:
        matched = in_the_light_of(rest, own, other)
        if matched is None:
            continue
        share = matched.confidence**2  # the picture that sees a point best has most to say
        weight += share
        color += share[:, None] * matched.observed
        best = np.maximum(best, matched.confidence)
    missing = (1 - own.confidence) * best
    total = own.confidence + missing
    share = ratio(missing, total)[:, None]
    color = ratio(color, weight[:, None])
    return SeenColors((1 - share) * own.observed + share * color, total)


def in_the_light_of(rest: FloatArray, own: SeenColors, other: SeenColors) -> SeenColors | None:
    """Another picture's colours as they would be in this one's light; None where the two share too little to tell.

    Where the light cannot be estimated locally, that of the whole face is used, with a lower weight of the other picture.
    """
    shared = (own.confidence > SURE) & (other.confidence > SURE)
    if shared.sum() < ENOUGH:
        return None
    ratio = np.log(
        np.maximum(own.observed[shared], DARKEST) / np.maximum(other.observed[shared], DARKEST)
    )
    whole = np.median(ratio, 0)
    if np.abs(whole).max() > np.log(_MOST_GAIN):
        return None
    # A shadow's edge that moved says nothing of the light
    ratio = np.clip(ratio, whole - 0.4, whole + 0.4)
    distance, near = KDTree(rest[shared]).query(rest, k=ENOUGH)
    weight = np.exp(-0.5 * (distance / _REACH) ** 2)
    gain = (_PRIOR * whole + (weight[..., None] * ratio[near]).sum(1)) / (_PRIOR + weight.sum(1))[
        :, None
    ]
    return SeenColors(np.clip(other.observed * np.exp(gain), 0, 1), other.confidence)
