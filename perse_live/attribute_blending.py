"""Attribute blending: an avatar's Gaussians at given weights. Reference of `perse_live.attribute_blender`."""

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
    base_change,
    features_of_added,
)
from perse_live.decoder.features import features_of, into_binding, places_at_rest
from perse_live.decoder.network import Decoder


def effective_weights(attributes: Sequence[Look], weights: Mapping[str, float]) -> list[float]:
    """The weight of each attribute as the network takes it, (K,) in [0, 1].

    Weights of one slot are scaled down to a sum of at most 1. The sum is then mapped by the mean of the slot's pace curves
    (`LearnedAttribute.pace`), weighted by each attribute's share of it; the shares stay the same.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for one in attributes:
        total[one.slot] += weights.get(one.name, 0.0)
    shares = [
        weights.get(one.name, 0.0) / total[one.slot] if total[one.slot] > 0 else 0.0
        for one in attributes
    ]
    paced: defaultdict[str, float] = defaultdict(float)
    for one, share in zip(attributes, shares, strict=True):
        if share > 0:
            paced[one.slot] += share * _at_pace(one, min(total[one.slot], 1.0))
    return [
        min(share * paced[one.slot], 1.0) for one, share in zip(attributes, shares, strict=True)
    ]


def slot_totals(active: Sequence[tuple[Look, float]]) -> dict[str, float]:
    """The sum of the effective weights of each slot."""
    total: defaultdict[str, float] = defaultdict(float)
    for one, weight in active:
        total[one.slot] += weight
    return total


def _at_pace(one: Look, weight: float) -> float:
    if isinstance(one, Attribute) or one.pace is None:
        return weight
    return float(np.interp(weight, np.linspace(0, 1, len(one.pace)), one.pace))


def with_attributes(
    avatar: Avatar, attributes: Sequence[Look], weights: Mapping[str, float]
) -> Avatar:
    """The avatar with its attributes blended in; the same object where no weight is above 0.

    weights: by attribute name, [0, 1]. Gaussians of attributes at weight 0 are left out, so the number of Gaussians varies.
    Order: all surface Gaussians (the avatar's, then those of the attributes), then all rigid ones (likewise). The rig's actions,
    parts and triangles stay the same objects. Raises ValueError for learned attributes on an avatar without a decoder.
    """
    active = [
        (one, w)
        for one, w in zip(attributes, effective_weights(attributes, weights), strict=True)
        if w > 0
    ]
    if not active:
        return avatar
    base = _BaseArrays(
        avatar.colors.copy(), avatar.opacities.copy(), *(array.copy() for array in _movable(avatar))
    )
    vertices = avatar.rig.vertices.copy()
    learned = [(one, w) for one, w in active if isinstance(one, LearnedAttribute)]
    added: list[_Added] = []
    total = slot_totals(active)
    for one, w in active:
        share = np.float32(w)
        vertices[one.vertex_ids] += share * one.vertex_offsets
        if isinstance(one, Attribute):
            base.colors[one.ids] += share * (one.colors - avatar.colors[one.ids])
            base.opacities[one.ids] += share * (one.opacities - avatar.opacities[one.ids])
            added.append(_interpolated(one.added, w))
        else:
            _change_base(base, avatar, one, total[one.slot], w)
            added.append(_decoded(avatar, one, learned))
    for one, _ in learned:
        opacities = base.opacities[one.ids]
        base.opacities[one.ids] = np.where(opacities < UNSEEN, 0, opacities)
    count = len(avatar.surface.triangles)
    bound = [
        replace(avatar.surface, positions=base.positions, axes=base.axes),
        *(one.surface for one in added),
    ]
    free = [
        replace(avatar.rigid, means=base.means, scales=base.scales),
        *(one.rigid for one in added),
    ]

    def combined(base: np.ndarray, arrays: list[np.ndarray]) -> np.ndarray:
        on, off = [base[:count]], [base[count:]]
        for one, array in zip(added, arrays, strict=True):
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
        opacities=np.clip(combined(base.opacities, [one.opacities for one in added]), 0, 1),
        colors=np.clip(combined(base.colors, [one.colors for one in added]), 0, 1),
        regions=combined(avatar.regions, [one.regions for one in added]),
        correctives=blended_correctives(avatar, active),
    )


def blended_numbers(avatar: Avatar, active: Sequence[Look]) -> tuple[Int32Array, list[Int32Array]]:
    """Indices of Gaussians in the blended avatar.

    Returns those of the avatar's base Gaussians, (G,), and for each active attribute (N + A,): of the N base Gaussians that it
    changes, then of the A Gaussians that it adds.
    """
    count, total = len(avatar.surface.triangles), len(avatar)
    shift = sum(len(one.added.surface.triangles) for one in active)
    base = np.arange(total, dtype=np.int32)
    base[count:] += shift
    on, off = count, total + shift
    looks: list[Int32Array] = []
    for one in active:
        split = len(one.added.surface.triangles)
        free = len(one.added) - split
        looks.append(
            np.concatenate(
                [base[one.ids], np.arange(on, on + split), np.arange(off, off + free)]
            ).astype(np.int32)
        )
        on, off = on + split, off + free
    return base, looks


def kept_correctives(avatar: Avatar, active: Sequence[tuple[Look, float]]) -> Float32Array:
    """Factors (G,) in [0, 1] of the avatar's correctives under attributes at their weights."""
    kept = np.ones(len(avatar), np.float32)
    for one, weight in active:
        if one.correctives is not None:
            kept[one.ids] *= 1 - np.float32(weight) * (1 - one.correctives.kept)
    return kept


def blended_correctives(avatar: Avatar, active: Sequence[tuple[Look, float]]) -> Correctives:
    """Correctives of the blended avatar: those of the avatar, scaled, and those of the active attributes."""
    if not avatar.correctives.components:
        return avatar.correctives
    base, looks = blended_numbers(avatar, [one for one, _ in active])
    added = [
        (one.correctives.deltas, rows)
        for (one, _), rows in zip(active, looks, strict=True)
        if one.correctives is not None
    ]
    weights = [np.float32(weight) for one, weight in active if one.correctives is not None]
    merged = merge([(avatar.correctives.deltas, base), *added])
    shares = np.array([1, *weights], np.float32)[merged.parts]
    of_avatar = merged.parts == 0
    shares[of_avatar] = kept_correctives(avatar, active)[merged.sources[of_avatar]]
    return replace(avatar.correctives, deltas=scaled(merged.deltas, shares))


class _BaseArrays(NamedTuple):
    """Copies of the base Gaussians' arrays, changed in place; shapes as in `Avatar`."""

    colors: Float32Array
    opacities: Float32Array
    positions: Float32Array
    axes: Float32Array
    means: Float32Array
    scales: Float32Array


class _Added(NamedTuple):
    """The Gaussians that an attribute adds, at its weight."""

    surface: SurfaceBinding
    rigid: RigidBinding
    opacities: Float32Array
    colors: Float32Array
    regions: UInt8Array


def _movable(avatar: Avatar) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    return avatar.surface.positions, avatar.surface.axes, avatar.rigid.means, avatar.rigid.scales


def _change_base(
    base: _BaseArrays, avatar: Avatar, one: LearnedAttribute, total: float, weight: float
) -> None:
    places = places_at_rest(avatar.rig, avatar.surface, avatar.rigid)[one.ids]
    change = base_change(
        _decoder_of(avatar),
        features_of(places, avatar.colors[one.ids], avatar.regions[one.ids]),
        one,
        total,
        weight / total,
    )
    base.colors[one.ids] += change.colors
    base.opacities[one.ids] += change.opacities
    if one.moves_base:
        bound = one.ids < len(base.positions)
        on, off = one.ids[bound], one.ids[~bound] - len(base.positions)
        base.positions[on] += _bound(
            into_binding(avatar.rig, avatar.surface)[on], change.places[bound]
        )
        base.axes[on] *= change.sizes[bound, None]
        base.means[off] += change.places[~bound]
        base.scales[off] *= change.sizes[~bound, None]


def _decoded(avatar: Avatar, one: LearnedAttribute, learned: Weighted) -> _Added:
    """The Gaussians that a learned attribute adds, decoded under all active learned attributes."""
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
    return _Added(surface, rigid, opacities, added.colors + change.colors, added.regions)


def _bound(matrices: Float32Array, places: Float32Array) -> Float32Array:
    return (matrices @ places[:, :, None])[:, :, 0]


def _decoder_of(avatar: Avatar) -> Decoder:
    if avatar.decoder is None:
        raise ValueError("an avatar without a decoder cannot have learned attributes")
    return avatar.decoder


def _interpolated(added: AddedGaussians, weight: float) -> _Added:
    """The Gaussians that an explicit attribute adds, interpolated to a weight in (0, 1]."""
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
    return _Added(
        surface,
        rigid,
        added.opacities * (shown * shown * (3 - 2 * shown)),
        added.colors,
        added.regions,
    )
