"""`attributes` in torch: from weights to the avatar's Gaussians at rest, as `perse_live.wardrobe.worn` has them.

Gaussians that attributes add are always there: at weight 0 their opacity is 0. So the graph's outputs have fixed lengths, and
what it writes can be what `animate` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from export.graphs.constants import Formula
from perse_live.arrays import Float32Array, Int32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar

_SOFT = 0.4  # of the way, over which an added Gaussian fades in; as in `perse_live.wardrobe`


class Attributes(Formula):
    """One avatar's looks; the output is named in `perse_live.graphs.canonical_inputs`."""

    def __init__(self, avatar: Avatar) -> None:
        """Raises ValueError where there is no attribute."""
        super().__init__()
        attributes = avatar.attributes  # no constant may be called as an output is: names in a graph are unique
        if not attributes:
            raise ValueError("the avatar has no attributes")
        own = len(avatar.surface.triangles)
        self._own = own, len(avatar) - own
        self.constant("shares_slot", np.array([[a.slot == b.slot for b in attributes] for a in attributes], np.float32))
        shown = np.concatenate([avatar.colors, avatar.opacities[:, None]], 1)  # (G, 4)
        changes, rows = _together(attributes, len(avatar), lambda one: (one.ids, np.concatenate(
            [one.colors, one.opacities[:, None]], 1) - shown[one.ids]))
        self.constant("shown", shown)
        self.constant("changes", changes)
        self.constant("change_rows", rows)
        moves, rows = _together(attributes, len(avatar.rig.vertices), lambda one: (one.vertex_ids, one.vertex_offsets))
        self.constant("own_vertices", avatar.rig.vertices)
        self.constant("moves", moves)
        self.constant("move_rows", rows)

        added = [one.added for one in attributes]
        on, off = [len(one.surface.triangles) for one in added], [len(one.rigid.means) for one in added]
        self.constant("surface_of", np.repeat(np.arange(len(added)), on))
        self.constant("rigid_of", np.repeat(np.arange(len(added)), off))
        self.constant("least_sizes", np.array([one.least_size for one in added], np.float32))

        def joined(arrays: list[np.ndarray], own_array: np.ndarray) -> np.ndarray:
            return np.concatenate([own_array[:0], *arrays])

        surface, rigid = avatar.surface, avatar.rigid
        self.constant("positions", surface.positions)
        self.constant("axes", surface.axes)
        self.constant("means", rigid.means)
        self.constant("scales", rigid.scales)
        self.constant("surface_starts", joined([one.surface_start for one in added], surface.positions))
        self.constant("surface_ways", joined([one.surface.positions - one.surface_start for one in added], surface.positions))
        self.constant("added_axes", joined([one.surface.axes for one in added], surface.axes))
        self.constant("rigid_starts", joined([one.rigid_start for one in added], rigid.means))
        self.constant("rigid_ways", joined([one.rigid.means - one.rigid_start for one in added], rigid.means))
        self.constant("added_scales", joined([one.rigid.scales for one in added], rigid.scales))
        for name, first in (("surface", True), ("rigid", False)):
            def part(array: np.ndarray, split: int, first: bool = first) -> np.ndarray:
                return array[:split] if first else array[split:]

            for field, like in (("colors", avatar.colors), ("opacities", avatar.opacities), ("appear", avatar.opacities)):
                parts = [part(getattr(one, field), n) for one, n in zip(added, on, strict=True)]
                self.constant(f"added_{name}_{field}", joined(parts, like))

    def forward(self, weights: Tensor) -> tuple[Tensor, ...]:
        """weights: (K,) [0, 1]. Returns the arrays of `perse_live.graphs.canonical_inputs`, in that order."""
        own, free = self._own
        weights = weights.clamp(0, 1)
        effective = weights / (self.shares_slot * weights).sum(1).clamp(min=1)
        row = effective[None]
        moved = self.own_vertices + (row @ self.moves).reshape(-1, 3).index_select(0, self.move_rows)
        looks = (self.shown + (row @ self.changes).reshape(-1, 4).index_select(0, self.change_rows)).clamp(0, 1)
        sizes = self.least_sizes + (1 - self.least_sizes) * effective

        share = effective.index_select(0, self.surface_of)
        positions = torch.cat([self.positions, self.surface_starts + share[:, None] * self.surface_ways])
        axes = torch.cat([self.axes, self.added_axes * sizes.index_select(0, self.surface_of)[:, None]])
        shown = self.added_surface_opacities * _appeared(share, self.added_surface_appear)
        surface_opacities = torch.cat([looks[:own, 3], shown])
        surface_colors = torch.cat([looks[:own, :3], self.added_surface_colors])

        share = effective.index_select(0, self.rigid_of)
        means = torch.cat([self.means, self.rigid_starts + share[:, None] * self.rigid_ways])
        scales = torch.cat([self.scales, self.added_scales * sizes.index_select(0, self.rigid_of)[:, None]])
        shown = self.added_rigid_opacities * _appeared(share, self.added_rigid_appear)
        rigid_opacities = torch.cat([looks[own:own + free, 3], shown])
        rigid_colors = torch.cat([looks[own:own + free, :3], self.added_rigid_colors])
        return (moved, positions, axes, surface_opacities, surface_colors, means, scales, rigid_opacities, rigid_colors)


def _together(attributes: Sequence[Attribute], count: int, of: Callable[[Attribute], tuple[Int32Array, Float32Array]]
              ) -> tuple[Float32Array, Int32Array]:
    """What all attributes change of `count` things, as one matrix (K, U * C), and the row (of C columns) of each thing.

    of: an attribute's things, and what is added to each at full weight, (N, C). Things that nobody changes have the last row, 0.
    """
    each = [of(one) for one in attributes]
    changed = np.unique(np.concatenate([ids for ids, _ in each]))
    rows = np.full(count, len(changed), np.int32)
    rows[changed] = np.arange(len(changed), dtype=np.int32)
    table = np.zeros((len(each), len(changed) + 1, each[0][1].shape[1]), np.float32)
    for k, (ids, change) in enumerate(each):
        np.add.at(table[k], rows[ids], change)
    return table.reshape(len(each), -1), rows


def _appeared(share: Tensor, begins: Tensor) -> Tensor:
    shown = ((share - begins) / (_SOFT * (1 - begins)).clamp(min=1e-3)).clamp(0, 1)
    return shown * shown * (3 - 2 * shown)
