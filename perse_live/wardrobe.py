"""An avatar as it looks when its attributes have any weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.attributes import AddedGaussians, Attribute
from perse_live.avatar import Avatar


def effective_weights(attributes: Sequence[Attribute], weights: Mapping[str, float]) -> list[float]:
    """Weights (K,) in [0, 1] after those of one slot were scaled down to a sum of 1 at most."""
    total: defaultdict[str, float] = defaultdict(float)
    for one in attributes:
        total[one.slot] += weights.get(one.name, 0.0)
    return [weights.get(one.name, 0.0) / max(total[one.slot], 1.0) for one in attributes]


def worn(avatar: Avatar, attributes: Sequence[Attribute], weights: Mapping[str, float]) -> Avatar:
    """The avatar as it looks under weights; the same object where none is above 0.

    weights: by name, [0, 1]. Gaussians of attributes at weight 0 are left out, so the number of Gaussians varies: first all on
    the surface (the avatar's own first), then all rigid ones (likewise). The rig's actions, parts and triangles stay the same
    objects.
    """
    active = [(one, w) for one, w in zip(attributes, effective_weights(attributes, weights), strict=True) if w > 0]
    if not active:
        return avatar
    colors, opacities = avatar.colors.copy(), avatar.opacities.copy()
    vertices = avatar.rig.vertices.copy()
    for one, w in active:
        share = np.float32(w)
        colors[one.ids] += share * (one.colors - avatar.colors[one.ids])
        opacities[one.ids] += share * (one.opacities - avatar.opacities[one.ids])
        vertices[one.vertex_ids] += share * one.vertex_offsets
    grown = [_grown(one.added, w) for one, w in active if len(one.added)]
    count = len(avatar.surface.triangles)
    surfaces = [avatar.surface, *(one.surface for one in grown)]
    rigids = [avatar.rigid, *(one.rigid for one in grown)]

    def merged(own: np.ndarray, added: list[np.ndarray]) -> np.ndarray:
        on, off = [own[:count]], [own[count:]]
        for one, array in zip(grown, added, strict=True):
            split = len(one.surface.triangles)
            on.append(array[:split])
            off.append(array[split:])
        return np.concatenate([*on, *off])

    return replace(
        avatar, rig=replace(avatar.rig, vertices=vertices),
        surface=SurfaceBinding(*(np.concatenate([getattr(one, name) for one in surfaces]) for name in vars(avatar.surface))),
        rigid=RigidBinding(*(np.concatenate([getattr(one, name) for one in rigids]) for name in vars(avatar.rigid))),
        opacities=np.clip(merged(opacities, [one.opacities for one in grown]), 0, 1),
        colors=np.clip(merged(colors, [one.colors for one in grown]), 0, 1),
        regions=merged(avatar.regions, [one.regions for one in grown]))


def _grown(added: AddedGaussians, weight: float) -> AddedGaussians:
    """What is added, at a weight in (0, 1]."""
    share = np.float32(weight)
    size = np.float32(added.least_size + (1 - added.least_size) * weight)
    s, r = added.surface, added.rigid
    surface = replace(s, positions=added.surface_start + share * (s.positions - added.surface_start), axes=s.axes * size)
    rigid = replace(r, means=added.rigid_start + share * (r.means - added.rigid_start), scales=r.scales * size)
    shown = np.clip((share - added.appear) / np.maximum(0.4 * (1 - added.appear), 1e-3), 0, 1)
    return replace(added, surface=surface, rigid=rigid, opacities=added.opacities * (shown * shown * (3 - 2 * shown)))
