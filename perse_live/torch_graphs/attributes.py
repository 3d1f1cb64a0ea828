"""`attributes` in torch: from weights to the avatar's Gaussians at rest, as `attribute_blending.with_attributes` has them.

The network's LoRA adapters are folded inside: every layer is W0 + sum of w_k s_k B_k A_k, exactly, for the weights of the
moment, and what counts is D(rows; folded) - D(rows; W0). Both are evaluated side by side in the same precision, so that nothing
changes at weight 0 in half precision either. Gaussians that attributes add are always there: at weight 0 their opacity is 0. So
the graph's outputs have fixed lengths, and what it writes can be what `animate` reads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from perse_live.attribute_blending import blended_numbers
from perse_live.attributes import PACE_KNOTS, Attribute, LearnedAttribute, Look
from perse_live.avatar import Avatar
from perse_live.correctives import Deltas
from perse_live.decoder.attribute_change import UNSEEN, features_of_added
from perse_live.decoder.features import features_of, into_binding, places_at_rest
from perse_live.decoder.network import (
    CODES,
    COLOR,
    FEATURES,
    MAX_PLACE,
    MAX_SIZE,
    OPACITY,
    PLACE,
    PLACE_UNIT,
    SIZE,
    WIDTH,
)
from perse_live.engines.graphs import corrected_rows, correction_table, with_all_attributes
from perse_live.regions import Region
from perse_live.torch_graphs.formula import Formula

_LAYERS = (1, 2, 3)
_FADE = 0.4  # of the way, over which what is added appears, as in `perse_live.attribute_blending`


class Attributes(Formula):
    """One avatar's looks, of both kinds; the outputs are named in `perse_live.engines.graphs.canonical_inputs`."""

    def __init__(self, avatar: Avatar) -> None:
        """Raises ValueError for learned attributes without the network that decodes them."""
        super().__init__()
        self._looks: tuple[Look, ...] = avatar.attributes
        self._base_surface = len(avatar.surface.triangles)
        looks = self._looks
        self.constant(
            "shares_slot",
            np.array([[a.slot == b.slot for b in looks] for a in looks], np.float32).reshape(
                len(looks), len(looks)
            ),
        )
        straight = np.linspace(0, 1, PACE_KNOTS)
        paces = np.array(
            [
                straight if isinstance(one, Attribute) or one.pace is None else one.pace
                for one in looks
            ]
        )
        slopes = np.diff(paces.reshape(len(looks), PACE_KNOTS), axis=1) * (PACE_KNOTS - 1)
        self.constant("bends", np.diff(slopes, axis=1, prepend=0.0).astype(np.float32))
        self.constant("knots", straight[:-1].astype(np.float32))
        if any(isinstance(one, LearnedAttribute) for one in looks):
            self._constants_of_network(avatar)

        surface, rigid = avatar.surface, avatar.rigid
        self.constant("base_vertices", avatar.rig.vertices)
        self.constant("base_colors", avatar.colors)
        self.constant("base_opacities", avatar.opacities)
        self.constant("base_positions", surface.positions)
        self.constant("base_axes", surface.axes)
        self.constant("base_means", rigid.means)
        self.constant("base_scales", rigid.scales)
        self.constant("base_matrices", into_binding(avatar.rig, surface))
        self.constant(
            "base_features",
            features_of(places_at_rest(avatar.rig, surface, rigid), avatar.colors, avatar.regions),
        )
        touched = np.zeros(len(avatar), np.bool_)
        for k, one in enumerate(looks):
            self.constant(f"rows{k}", _rows(one.ids, len(avatar)))
            self.constant(f"vertex_rows{k}", _rows(one.vertex_ids, len(avatar.rig.vertices)))
            self.constant(
                f"moves{k}", np.concatenate([one.vertex_offsets, np.zeros((1, 3), np.float32)])
            )
            self.constant(f"added_colors{k}", one.added.colors)
            self.constant(f"added_positions{k}", one.added.surface.positions)
            self.constant(f"added_axes{k}", one.added.surface.axes)
            self.constant(f"added_means{k}", one.added.rigid.means)
            self.constant(f"added_scales{k}", one.added.rigid.scales)
            if isinstance(one, Attribute):
                self._constants_of_given(avatar, k, one)
                continue
            touched[one.ids] = True
            self.constant(f"ids{k}", one.ids)
            self.constant(f"codes{k}", one.codes)
            self.constant(f"added_features{k}", features_of_added(avatar.rig, one))
            self.constant(f"added_codes{k}", one.added.codes)
            self.constant(
                f"added_hair{k}", (one.added.regions == Region.HAIR).astype(np.float32)[:, None]
            )
            self.constant(f"added_matrices{k}", into_binding(avatar.rig, one.added.surface))
        self.constant("touched", touched)
        self._constants_of_correctives(avatar)

    def _constants_of_correctives(self, avatar: Avatar) -> None:
        """Correction tables (C, U, 7) of the avatar and of attributes with correctives; factors of the avatar's correctives."""
        full, looks = with_all_attributes(avatar), self._looks
        rows = corrected_rows(full.correctives.deltas, len(full))
        base, numbers = blended_numbers(avatar, looks)
        self.constant("base_corrections", _table(avatar.correctives.deltas, base, rows))
        self._with_correctives = [k for k, one in enumerate(looks) if one.correctives is not None]
        for k in self._with_correctives:
            its, mine = looks[k].correctives, len(looks[k].ids)
            assert its is not None
            table = _table(its.deltas, numbers[k], rows)
            replaced = np.zeros((table.shape[1], 1), np.float32)
            replaced[rows[numbers[k][:mine]], 0] = 1 - its.kept
            self.constant(f"replaced{k}", replaced)
            self.constant(f"added_corrections{k}", table)

    def _constants_of_network(self, avatar: Avatar) -> None:
        decoder = avatar.decoder
        if decoder is None:
            raise ValueError("an avatar without a decoder cannot have learned attributes")
        self.constant(
            "layer1", np.concatenate([decoder.w1, np.zeros((WIDTH, CODES), np.float32)], 1)
        )
        self.constant("layer2", decoder.w2)
        self.constant("layer3", decoder.w3)
        for layer in _LAYERS:
            self.constant(f"offset{layer}", getattr(decoder, f"c{layer}"))
            for k, one in enumerate(self._looks):
                if isinstance(one, LearnedAttribute):
                    a, b = getattr(one.adapter, f"a{layer}"), getattr(one.adapter, f"b{layer}")
                    self.constant(
                        f"lora{layer}_{k}", (one.adapter.scale * (b @ a)).astype(np.float32)
                    )

    def _constants_of_given(self, avatar: Avatar, k: int, one: Attribute) -> None:
        """Of a look that is given outright, without a network."""
        changes = np.concatenate(
            [
                one.colors - avatar.colors[one.ids],
                (one.opacities - avatar.opacities[one.ids])[:, None],
            ],
            1,
        )
        self.constant(
            f"changes{k}",
            np.concatenate([changes, np.zeros((1, 4), np.float32)]).astype(np.float32),
        )
        self.constant(f"added_start{k}", one.added.surface_start)
        self.constant(f"added_rigid_start{k}", one.added.rigid_start)
        self.constant(f"added_opacities{k}", one.added.opacities)
        self.constant(f"added_appear{k}", one.added.appear)
        self.constant(
            f"added_fade{k}", np.maximum(_FADE * (1 - one.added.appear), 1e-3).astype(np.float32)
        )

    def forward(self, weights: Tensor) -> tuple[Tensor, ...]:
        """weights: (K,) [0, 1]. Returns the arrays of `perse_live.engines.graphs.canonical_inputs`, in that order."""
        count = self._base_surface
        weights = weights.clamp(0, 1)
        effective = self._effective(weights)
        vertices, colors, opacities = self.base_vertices, self.base_colors, self.base_opacities
        places, growth = torch.zeros_like(colors), torch.zeros_like(opacities)[:, None]
        totals = (self.shares_slot * effective).sum(1)
        for k, one in enumerate(self._looks):
            if len(one.vertex_ids):
                vertices = vertices + effective[k] * getattr(self, f"moves{k}").index_select(
                    0, getattr(self, f"vertex_rows{k}")
                )
            if not len(one.ids):
                continue
            rows = getattr(self, f"rows{k}")
            if isinstance(one, Attribute):
                change = effective[k] * getattr(self, f"changes{k}").index_select(0, rows)
                colors, opacities = colors + change[:, :3], opacities + change[:, 3]
                continue
            features = self.base_features.index_select(0, getattr(self, f"ids{k}"))
            out = self._changes(features, getattr(self, f"codes{k}"), [k], totals, reader=k)
            out = out * (effective[k] / totals[k].clamp(min=1e-9))
            out = torch.cat([out, torch.zeros_like(out[:1])]).index_select(0, rows)
            colors, opacities = colors + out[:, COLOR], opacities + out[:, OPACITY]
            if one.moves_base:
                places, growth = places + _places(out), growth + _growth(out)
        unseen = torch.logical_and(self.touched, opacities < UNSEEN)
        opacities = torch.where(unseen, torch.zeros_like(opacities), opacities).clamp(0, 1)
        sizes = growth.exp()
        corrections = self.base_corrections
        for k in self._with_correctives:
            corrections = corrections * (1 - effective[k] * getattr(self, f"replaced{k}"))
        for k in self._with_correctives:
            corrections = corrections + effective[k] * getattr(self, f"added_corrections{k}")
        looks = [
            self._given(k, one, effective)
            if isinstance(one, Attribute)
            else self._added(k, one, effective)
            for k, one in enumerate(self._looks)
        ]
        return (
            vertices,
            torch.cat(
                [
                    self.base_positions + _bound(self.base_matrices, places[:count]),
                    *(look[0] for look in looks),
                ]
            ),
            torch.cat([self.base_axes * sizes[:count], *(look[1] for look in looks)]),
            torch.cat([opacities[:count], *(look[2] for look in looks)]),
            torch.cat([colors[:count], *(look[3] for look in looks)]).clamp(0, 1),
            torch.cat([self.base_means + places[count:], *(look[4] for look in looks)]),
            torch.cat([self.base_scales * sizes[count:], *(look[5] for look in looks)]),
            torch.cat([opacities[count:], *(look[6] for look in looks)]),
            torch.cat([colors[count:], *(look[7] for look in looks)]).clamp(0, 1),
            corrections,
        )

    def _effective(self, weights: Tensor) -> Tensor:
        """`attribute_blending.effective_weights`: weights of a slot share 1, and their sum goes at their pace; (K,) both."""
        total = (self.shares_slot * weights).sum(1)
        share = weights / total.clamp(min=1e-9)
        # lines through knots, as a sum of their bends
        gone = (self.bends * (total.clamp(max=1)[:, None] - self.knots).clamp(min=0)).sum(1)
        return share * (self.shares_slot * (share * gone)).sum(1)

    def _given(self, k: int, one: Attribute, effective: Tensor) -> tuple[Tensor, ...]:
        """What attribute k adds, where that is given outright; results as of `_added`."""
        split, share = len(one.added.surface.triangles), effective[k]
        start, free = getattr(self, f"added_start{k}"), getattr(self, f"added_rigid_start{k}")
        colors = getattr(self, f"added_colors{k}")
        size = one.added.least_size + (1 - one.added.least_size) * share
        shown = (
            (share - getattr(self, f"added_appear{k}")) / getattr(self, f"added_fade{k}")
        ).clamp(0, 1)
        opacities = (
            getattr(self, f"added_opacities{k}") * (shown * shown * (3 - 2 * shown))
        ).clamp(0, 1)
        return (
            start + share * (getattr(self, f"added_positions{k}") - start),
            getattr(self, f"added_axes{k}") * size,
            opacities[:split],
            colors[:split],
            free + share * (getattr(self, f"added_means{k}") - free),
            getattr(self, f"added_scales{k}") * size,
            opacities[split:],
            colors[split:],
        )

    def _added(self, k: int, one: LearnedAttribute, effective: Tensor) -> tuple[Tensor, ...]:
        """What attribute k adds, decoded: positions, axes, opacities and colours on the surface; means, scales, opacities,
        colours of rigid.
        """
        split = len(one.added.surface.triangles)
        features = getattr(self, f"added_features{k}")
        positions, axes = getattr(self, f"added_positions{k}"), getattr(self, f"added_axes{k}")
        means, scales = getattr(self, f"added_means{k}"), getattr(self, f"added_scales{k}")
        colors = getattr(self, f"added_colors{k}")
        if not len(one.added):
            return (
                positions,
                axes,
                colors[:0, 0],
                colors[:0],
                means,
                scales,
                colors[:0, 0],
                colors[:0],
            )
        learned = [
            (j, mate) for j, mate in enumerate(self._looks) if isinstance(mate, LearnedAttribute)
        ]
        mates = [j for j, mate in learned if mate.slot == one.slot]
        out = self._changes(features, getattr(self, f"added_codes{k}"), mates, effective, reader=k)
        shown = colors + out[:, COLOR]
        for j, tint in learned:
            if (
                tint.tints_hair
                and tint.slot != one.slot
                and (one.added.regions == Region.HAIR).any()
            ):
                tinted = self._changes(features, None, [j], effective, reader=None)
                shown = shown + getattr(self, f"added_hair{k}") * tinted[:, COLOR]
        # at weight 0 a mate's adapters alone would let it appear: what is not active is absent
        opacities = torch.where(
            effective[k] > 0, out[:, OPACITY], torch.zeros_like(out[:, OPACITY])
        )
        opacities = torch.where(opacities < UNSEEN, torch.zeros_like(opacities), opacities).clamp(
            0, 1
        )
        places, sizes = _places(out), _growth(out).exp()
        return (
            positions + _bound(getattr(self, f"added_matrices{k}"), places[:split]),
            axes * sizes[:split],
            opacities[:split],
            shown[:split],
            means + places[split:],
            scales * sizes[split:],
            opacities[split:],
            shown[split:],
        )

    def _changes(
        self,
        features: Tensor,
        codes: Tensor | None,
        active: list[int],
        effective: Tensor,
        *,
        reader: int | None,
    ) -> Tensor:
        """D(rows; W0 with adapters) - D(rows; W0), (N, OUTPUTS).

        features: (N, FEATURES); codes: (N, CODES) of the adapter `reader`, or None.
        """
        folded: list[Tensor] = []
        for layer in _LAYERS:
            plain = total = getattr(self, f"layer{layer}")
            for j in active:
                change = effective[j] * getattr(self, f"lora{layer}_{j}")
                if layer == 1 and j != reader:  # the codes are another attribute's
                    change = torch.cat(
                        [change[:, :FEATURES], torch.zeros_like(change[:, FEATURES:])], 1
                    )
                total = total + change
            folded.append(torch.stack([plain, total]).transpose(1, 2))
        first, second, third = folded
        hidden = features[None] @ first[:, :FEATURES] + self.offset1
        if codes is not None:
            hidden = hidden + codes[None] @ first[:, FEATURES:]
        hidden = hidden * hidden.sigmoid()
        hidden = hidden @ second + self.offset2
        out = (hidden * hidden.sigmoid()) @ third + self.offset3
        return out[1] - out[0]


def _rows(ids: np.ndarray, count: int) -> np.ndarray:
    """For each of `count` things its row among those that are named; the last row, one behind theirs, for all others."""
    rows = np.full(count, len(ids), np.int32)
    rows[ids] = np.arange(len(ids), dtype=np.int32)
    return rows


def _table(deltas: Deltas, numbers: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The table of corrections of Gaussians that have other numbers in it."""
    return correction_table(replace(deltas, ids=numbers[deltas.ids]), rows)


def _places(out: Tensor) -> Tensor:
    return out[:, PLACE].clamp(-MAX_PLACE, MAX_PLACE) * PLACE_UNIT


def _growth(out: Tensor) -> Tensor:
    return out[:, SIZE, None].clamp(-MAX_SIZE, MAX_SIZE)


def _bound(matrices: Tensor, places: Tensor) -> Tensor:
    """Displacements (N, 3) in metres as ones of positions on triangles."""
    return (matrices * places[:, None]).sum(2)
