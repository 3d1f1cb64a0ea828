"""The avatar with a teacher's look applied directly: what the network is trained to reproduce."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from offline.looks.hair.hairstyle import scalp_of
from offline.looks.hair.hairstyle_way import hairstyle_way
from offline.training.gaussian_rows import begin_of, rows_of
from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array
from perse_live.attribute_blending import blended_correctives
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.decoder.attribute_change import UNSEEN, change_of
from perse_live.decoder.features import into_binding


class Taught:
    """One known look, at any stage of its transition."""

    def __init__(self, avatar: Avatar, look: Attribute) -> None:
        """avatar: without attributes."""
        way = hairstyle_way(avatar, look, scalp_of(avatar)) if look.slot == "hair" else None
        self._avatar, self._look = avatar, look if way is None else way.begun(look)
        self._rows = rows_of(avatar, self._look, way)

    def at(self, way: float) -> Avatar:
        """The avatar with the look at a stage of its transition, [0, 1]; what `attribute_blending.with_attributes` gives for the
        learnt attribute, where the stage is called weight.
        """
        avatar, look, rows = self._avatar, self._look, self._rows
        out = rows.at(torch.full((len(rows), 1), way)).numpy()
        own, added = change_of(out[: rows.own]), change_of(out[rows.own :])
        surface, rigid = begin_of(look)
        split, on = len(surface.triangles), len(avatar.surface.triangles)
        moved = (into_binding(avatar.rig, surface) @ added.places[:split, :, None])[:, :, 0]
        surface = replace(
            surface,
            positions=surface.positions + moved,
            axes=surface.axes * added.sizes[:split, None],
        )
        rigid = replace(
            rigid,
            means=rigid.means + added.places[split:],
            scales=rigid.scales * added.sizes[split:, None],
        )
        colors, opacities, vertices = (
            avatar.colors.copy(),
            avatar.opacities.copy(),
            avatar.rig.vertices.copy(),
        )
        colors[look.ids] += own.colors
        opacities[look.ids] += own.opacities
        opacities[look.ids] = np.where(opacities[look.ids] < UNSEEN, 0, opacities[look.ids])
        free = look.ids >= on
        means, scales = avatar.rigid.means.copy(), avatar.rigid.scales.copy()
        means[look.ids[free] - on] += own.places[free]
        scales[look.ids[free] - on] *= own.sizes[free, None]
        vertices[look.vertex_ids] += np.float32(way) * look.vertex_offsets
        shown = np.where(added.opacities < UNSEEN, np.float32(0), added.opacities)

        def merged(mine: np.ndarray, its: np.ndarray) -> np.ndarray:
            return np.concatenate([mine[:on], its[:split], mine[on:], its[split:]])

        def clipped(mine: Float32Array, its: Float32Array) -> Float32Array:
            return np.clip(merged(mine, its), 0, 1).astype(np.float32)

        return replace(
            avatar,
            rig=replace(avatar.rig, vertices=vertices),
            surface=SurfaceBinding(
                *(
                    np.concatenate(pair)
                    for pair in zip(
                        vars(avatar.surface).values(), vars(surface).values(), strict=True
                    )
                )
            ),
            rigid=RigidBinding(
                *(
                    np.concatenate(pair)
                    for pair in zip(
                        vars(replace(avatar.rigid, means=means, scales=scales)).values(),
                        vars(rigid).values(),
                        strict=True,
                    )
                )
            ),
            opacities=clipped(opacities, shown),
            colors=clipped(colors, look.added.colors + added.colors),
            regions=merged(avatar.regions, look.added.regions),
            correctives=blended_correctives(avatar, [(look, way)]),
        )
