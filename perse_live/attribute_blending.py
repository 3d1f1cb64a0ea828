"""An avatar as it looks when its attributes have any weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array, Int32Array, UInt8Array
from perse_live.attributes import AddedGaussians, Attribute, LearnedAttribute, Look
from perse_live.avatar import Avatar
from perse_live.correctives import Correctives, merge, scaled
from perse_live.decoder.attribute_change import (
    UNSEEN,
    Weighted,
    added_change,
    features_of_added,
    own_change,
)
from perse_live.decoder.features import features_of, into_binding, places_at_rest
from perse_live.decoder.network import Decoder


def effective_weights(attributes: Sequence[Look], weights: Mapping[str, float]) -> list[float]:
    """How far along its way each attribute is, (K,) in [0, 1], which is what the network takes.

    Weights of one slot are scaled down to a sum of 1 at most. That sum goes at the pace of those that share it; their shares of
    it stay.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for one in attributes:
        total[one.slot] += weights.get(one.name, 0.0)
    shares = [
        weights.get(one.name, 0.0) / total[one.slot] if total[one.slot] > 0 else 0.0
        for one in attributes
    ]
    gone: defaultdict[str, float] = defaultdict(float)
    for one, share in zip(attributes, shares, strict=True):
        if share > 0:
            gone[one.slot] += share * _at_pace(one, min(total[one.slot], 1.0))
    return [min(share * gone[one.slot], 1.0) for one, share in zip(attributes, shares, strict=True)]


def _at_pace(one: Look, weight: float) -> float:
    if isinstance(one, Attribute) or one.pace is None:
        return weight
    return float(np.interp(weight, np.linspace(0, 1, len(one.pace)), one.pace))


def with_attributes(
    avatar: Avatar, attributes: Sequence[Look], weights: Mapping[str, float]
) -> Avatar:
    """The avatar as it looks under weights; the same object where none is above 0.

    weights: by name, [0, 1]. Gaussians of attributes at weight 0 are left out, so the number of Gaussians varies: first all on
    the surface (base ones first), then all rigid ones (likewise). The rig's actions, parts and triangles stay the same
    objects. Raises ValueError for learned attributes on an avatar without a decoder.
    """
    active = [
        (one, w)
        for one, w in zip(attributes, effective_weights(attributes, weights), strict=True)
        if w > 0
    ]
    if not active:
        return avatar
    own = _Own(
        avatar.colors.copy(), avatar.opacities.copy(), *(array.copy() for array in _movable(avatar))
    )
    vertices = avatar.rig.vertices.copy()
    learned = [(one, w) for one, w in active if isinstance(one, LearnedAttribute)]
    grown: list[_Grown] = []
    for one, w in active:
        share = np.float32(w)
        vertices[one.vertex_ids] += share * one.vertex_offsets
        if isinstance(one, Attribute):
            own.colors[one.ids] += share * (one.colors - avatar.colors[one.ids])
            own.opacities[one.ids] += share * (one.opacities - avatar.opacities[one.ids])
            grown.append(_grown(one.added, w))
        else:
            _change_own(own, avatar, one, w)
            grown.append(_decoded(avatar, one, learned))
    for one, _ in learned:
        opacities = own.opacities[one.ids]
        own.opacities[one.ids] = np.where(opacities < UNSEEN, 0, opacities)
    count = len(avatar.surface.triangles)
    bound = [
        replace(avatar.surface, positions=own.positions, axes=own.axes),
        *(one.surface for one in grown),
    ]
    free = [
        replace(avatar.rigid, means=own.means, scales=own.scales),
        *(one.rigid for one in grown),
    ]

    def combined(mine: np.ndarray, added: list[np.ndarray]) -> np.ndarray:
        on, off = [mine[:count]], [mine[count:]]
        for one, array in zip(grown, added, strict=True):
            split = len(one.surface.triangles)
            on.append(array[:split])
            off.append(array[split:])
        return np.concatenate([*on, *off])

    return replace(
        avatar,
        rig=replace(avatar.rig, vertices=vertices),
        surface=SurfaceBinding(
            *(
                np.concatenate([getattr(one, name) for one in bound])
                for name in vars(avatar.surface)
            )
        ),
        rigid=RigidBinding(
            *(np.concatenate([getattr(one, name) for one in free]) for name in vars(avatar.rigid))
        ),
        opacities=np.clip(combined(own.opacities, [one.opacities for one in grown]), 0, 1),
        colors=np.clip(combined(own.colors, [one.colors for one in grown]), 0, 1),
        regions=combined(avatar.regions, [one.regions for one in grown]),
        correctives=blended_correctives(avatar, active),
    )


def blended_numbers(avatar: Avatar, active: Sequence[Look]) -> tuple[Int32Array, list[Int32Array]]:
    """The indices that Gaussians have in an avatar with active attributes: its own (G,), and those of each attribute: first of
    the avatar's that it changes, then of what it adds, (N + A,).
    """
    count, total = len(avatar.surface.triangles), len(avatar)
    shift = sum(len(one.added.surface.triangles) for one in active)
    own = np.arange(total, dtype=np.int32)
    own[count:] += shift
    on, off = count, total + shift
    looks: list[Int32Array] = []
    for one in active:
        split = len(one.added.surface.triangles)
        free = len(one.added) - split
        looks.append(
            np.concatenate(
                [own[one.ids], np.arange(on, on + split), np.arange(off, off + free)]
            ).astype(np.int32)
        )
        on, off = on + split, off + free
    return own, looks


def kept_correctives(avatar: Avatar, active: Sequence[tuple[Look, float]]) -> Float32Array:
    """(G,) what is left of the avatar's own correctives under looks at their weights."""
    kept = np.ones(len(avatar), np.float32)
    for one, weight in active:
        if one.correctives is not None:
            kept[one.ids] *= 1 - np.float32(weight) * (1 - one.correctives.kept)
    return kept


def blended_correctives(avatar: Avatar, active: Sequence[tuple[Look, float]]) -> Correctives:
    """Correctives of an avatar under active attributes, by the numbers that Gaussians have then."""
    if not avatar.correctives.components:
        return avatar.correctives
    own, looks = blended_numbers(avatar, [one for one, _ in active])
    theirs = [
        (one.correctives.deltas, rows)
        for (one, _), rows in zip(active, looks, strict=True)
        if one.correctives is not None
    ]
    weights = [np.float32(weight) for one, weight in active if one.correctives is not None]
    made = merge([(avatar.correctives.deltas, own), *theirs])
    shares = np.array([1, *weights], np.float32)[made.parts]
    mine = made.parts == 0
    shares[mine] = kept_correctives(avatar, active)[made.sources[mine]]
    return replace(avatar.correctives, deltas=scaled(made.deltas, shares))


class _Own(NamedTuple):
    """State of the avatar's base Gaussians, to be changed in place."""

    colors: Float32Array
    opacities: Float32Array
    positions: Float32Array
    axes: Float32Array
    means: Float32Array
    scales: Float32Array


class _Grown(NamedTuple):
    """What an attribute adds, at its weight."""

    surface: SurfaceBinding
    rigid: RigidBinding
    opacities: Float32Array
    colors: Float32Array
    regions: UInt8Array


def _movable(avatar: Avatar) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    return avatar.surface.positions, avatar.surface.axes, avatar.rigid.means, avatar.rigid.scales


def _change_own(own: _Own, avatar: Avatar, one: LearnedAttribute, weight: float) -> None:
    places = places_at_rest(avatar.rig, avatar.surface, avatar.rigid)[one.ids]
    change = own_change(
        _decoder_of(avatar),
        features_of(places, avatar.colors[one.ids], avatar.regions[one.ids]),
        one,
        weight,
    )
    own.colors[one.ids] += change.colors
    own.opacities[one.ids] += change.opacities
    if one.moves_own:
        bound = one.ids < len(own.positions)
        on, off = one.ids[bound], one.ids[~bound] - len(own.positions)
        own.positions[on] += _bound(
            into_binding(avatar.rig, avatar.surface)[on], change.places[bound]
        )
        own.axes[on] *= change.sizes[bound, None]
        own.means[off] += change.places[~bound]
        own.scales[off] *= change.sizes[~bound, None]


def _decoded(avatar: Avatar, one: LearnedAttribute, learned: Weighted) -> _Grown:
    """What a learned attribute adds, among all that are active."""
    added = one.added
    change = added_change(_decoder_of(avatar), features_of_added(avatar.rig, one), one, learned)
    split = len(added.surface.triangles)
    moved = _bound(into_binding(avatar.rig, added.surface), change.places[:split])
    surface = replace(
        added.surface,
        positions=added.surface.positions + moved,
        axes=added.surface.axes * change.sizes[:split, None],
    )
    rigid = replace(
        added.rigid,
        means=added.rigid.means + change.places[split:],
        scales=added.rigid.scales * change.sizes[split:, None],
    )
    opacities = np.where(change.opacities < UNSEEN, np.float32(0), change.opacities)
    return _Grown(surface, rigid, opacities, added.colors + change.colors, added.regions)


def _bound(matrices: Float32Array, places: Float32Array) -> Float32Array:
    return (matrices @ places[:, :, None])[:, :, 0]


def _decoder_of(avatar: Avatar) -> Decoder:
    if avatar.decoder is None:
        raise ValueError("an avatar without a decoder cannot have learned attributes")
    return avatar.decoder


def _grown(added: AddedGaussians, weight: float) -> _Grown:
    """What is added, at a weight in (0, 1]."""
    share = np.float32(weight)
    size = np.float32(added.least_size + (1 - added.least_size) * weight)
    s, r = added.surface, added.rigid
    surface = replace(
        s,
        positions=added.surface_start + share * (s.positions - added.surface_start),
        axes=s.axes * size,
    )
    rigid = replace(
        r, means=added.rigid_start + share * (r.means - added.rigid_start), scales=r.scales * size
    )
    shown = np.clip((share - added.appear) / np.maximum(0.4 * (1 - added.appear), 1e-3), 0, 1)
    return _Grown(
        surface,
        rigid,
        added.opacities * (shown * shown * (3 - 2 * shown)),
        added.colors,
        added.regions,
    )
