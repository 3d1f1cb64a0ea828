"""What learned attributes make of an avatar's Gaussians, in clear numpy: `perse_live.attribute_blender` does the same quickly.

Which adapters a Gaussian sees: those that an attribute adds see all active attributes of its slot, so that one grows into
another inside the network; the avatar's own see each attribute by itself, and what they decode adds up, as between slots. Hair
that is added is also coloured by the attributes of other slots that tint hair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import Float32Array
from perse_live.attributes import LearnedAttribute
from perse_live.decoder.features import features_of, places_at_rest
from perse_live.decoder.network import (
    CODES,
    COLOR,
    MOST_PLACE,
    MOST_SIZE,
    OPACITY,
    PLACE,
    PLACE_UNIT,
    SIZE,
    Decoder,
    decode,
    fold,
)
from perse_live.head.rig import HeadRig
from perse_live.regions import Region

UNSEEN = 1 / 255
"""Opacity below which a Gaussian that attributes touch is taken to be absent: the renderer would skip it."""

Weighted = Sequence[tuple[LearnedAttribute, float]]
"""Attributes with their weights, all above 0."""


@dataclass(frozen=True, eq=False)
class Change:
    """What becomes of N Gaussians: what is added to their state."""

    colors: Float32Array
    """(N, 3)"""
    opacities: Float32Array
    """(N,)"""
    places: Float32Array
    """(N, 3) metres at rest, head frame."""
    sizes: Float32Array
    """(N,) factors."""


def own_change(
    decoder: Decoder, features: Float32Array, one: LearnedAttribute, weight: float
) -> Change:
    """Of the avatar's base Gaussians `one.ids`. features: (N, FEATURES) theirs."""
    folded, base = fold(decoder, [(one.adapter, weight)], reader=0), fold(decoder, [], reader=None)
    change = change_of(decode(folded, features, one.codes) - decode(base, features, None))
    if one.moves_own:
        return change
    return Change(
        change.colors, change.opacities, np.zeros_like(change.places), np.ones_like(change.sizes)
    )


def added_change(
    decoder: Decoder, features: Float32Array, one: LearnedAttribute, active: Weighted
) -> Change:
    """Of the Gaussians that one attribute adds, among all that are active. features: (N, FEATURES) theirs."""
    mates = [(mate, weight) for mate, weight in active if mate.slot == one.slot]
    reader = next(k for k, (mate, _) in enumerate(mates) if mate is one)
    base = decode(fold(decoder, [], reader=None), features, None)
    folded = fold(decoder, [(mate.adapter, weight) for mate, weight in mates], reader=reader)
    out = decode(folded, features, one.added.codes) - base
    hair = one.added.regions == Region.HAIR
    for tint, weight in active:
        if tint.tints_hair and tint.slot != one.slot:
            tinted = (
                decode(fold(decoder, [(tint.adapter, weight)], reader=None), features, None) - base
            )
            out[hair, COLOR] += tinted[hair, COLOR]
    return change_of(out)


def change_of(out: Float32Array) -> Change:
    """Outputs (N, OUTPUTS) in their units."""
    places = np.clip(out[:, PLACE], -MOST_PLACE, MOST_PLACE) * np.float32(PLACE_UNIT)
    return Change(
        out[:, COLOR], out[:, OPACITY], places, np.exp(np.clip(out[:, SIZE], -MOST_SIZE, MOST_SIZE))
    )


def features_of_added(rig: HeadRig, one: LearnedAttribute) -> Float32Array:
    """The features (N, FEATURES) of what an attribute adds."""
    added = one.added
    return features_of(places_at_rest(rig, added.surface, added.rigid), added.colors, added.regions)


def no_codes(count: int) -> Float32Array:
    """Codes (count, CODES) of Gaussians that have none."""
    return np.zeros((count, CODES), np.float32)
