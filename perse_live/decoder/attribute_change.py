"""How learned attributes change an avatar's Gaussians: the numpy reference of `perse_live.decoder.evaluation`.

Which adapters apply to a Gaussian: for those that an attribute adds, the adapters of all active attributes of its slot together,
so that one look turns into another inside the network; for the avatar's base Gaussians each attribute's adapter separately, at
the sum of its slot's weights, and the mean of the decoded changes by share of that sum is added: half-way between two looks both
have changed them fully. Added hair also takes the colour changes of attributes in other slots that tint hair.
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
    MAX_PLACE,
    MAX_SIZE,
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
"""Opacity below which a Gaussian that an attribute changes or adds is set to 0; the renderer skips such Gaussians anyway."""

Weighted = Sequence[tuple[LearnedAttribute, float]]
"""Attributes with their weights, all above 0."""


@dataclass(frozen=True, eq=False)
class Change:
    """Changes of N Gaussians, added to their state (scales: multiplied)."""

    colors: Float32Array
    """(N, 3)"""
    opacities: Float32Array
    """(N,)"""
    places: Float32Array
    """(N, 3) displacements at rest, metres, head frame."""
    sizes: Float32Array
    """(N,) factors of the scales."""


def base_change(
    decoder: Decoder,
    features: Float32Array,
    one: LearnedAttribute,
    total: float,
    share: float = 1.0,
) -> Change:
    """Changes of the N base Gaussians `one.ids`, whose features are (N, FEATURES).

    total: sum of the weights of the attribute's slot; share: the attribute's of it.
    """
    folded, base = fold(decoder, [(one.adapter, total)], reader=0), fold(decoder, [], reader=None)
    out = decode(folded, features, one.codes) - decode(base, features, None)
    change = change_of(np.float32(share) * out)
    if one.moves_base:
        return change
    return Change(
        change.colors, change.opacities, np.zeros_like(change.places), np.ones_like(change.sizes)
    )


def added_change(
    decoder: Decoder, features: Float32Array, one: LearnedAttribute, active: Weighted
) -> Change:
    """Changes of the N Gaussians that one attribute adds, under all active attributes; features: (N, FEATURES)."""
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
    """Decoder outputs (N, OUTPUTS) converted to their units and clipped."""
    places = np.clip(out[:, PLACE], -MAX_PLACE, MAX_PLACE) * np.float32(PLACE_UNIT)
    return Change(
        out[:, COLOR], out[:, OPACITY], places, np.exp(np.clip(out[:, SIZE], -MAX_SIZE, MAX_SIZE))
    )


def features_of_added(rig: HeadRig, one: LearnedAttribute) -> Float32Array:
    """Features (N, FEATURES) of the Gaussians that an attribute adds."""
    added = one.added
    return features_of(places_at_rest(rig, added.surface, added.rigid), added.colors, added.regions)


def no_codes(count: int) -> Float32Array:
    """Zero codes (count, CODES)."""
    return np.zeros((count, CODES), np.float32)
