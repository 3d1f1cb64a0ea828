"""An attribute as training data of the network: one row per Gaussian, with its values at every stage of the transition.

The transition runs from 0, the avatar without the attribute, to 1, the attribute at full weight. Base Gaussians are those of the
avatar without attributes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import KDTree

from offline.looks.hair.hairstyle_way import SHARES, HairstyleWay
from offline.numeric import ramp
from offline.training.base_decoder import own_features
from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.decoder.features import features_of, places_at_rest
from perse_live.decoder.network import CODES, COLOR, OPACITY, OUTPUTS, PLACE, PLACE_UNIT, SIZE

_SOON = 0.45
"""Fraction of the transition in which growing Gaussians become opaque: hair gets longer instead of fading in at full length."""
_AT_ONCE = 0.06
"""The same for each Gaussian of a solid object, which must not be translucent."""
_COVERED = 0.06
"""Fraction of the transition by which hair under a solid object disappears after the object has appeared."""
_CUT = 0.3
"""Fraction of the transition in which one Gaussian of hair disappears."""
SURELY = 1.3
"""Factor of the opacity's change between two hairstyles: hidden Gaussians are taught an opacity below 0, so that small errors of
the network do not show them."""
_BITS = 0.08
"""Fraction of the way to another hairstyle in which bits of skin disappear that the photo shows between strands: before the
strands go, without which they would float."""
_HIDDEN_SKIN = 0.15
"""Fraction of the way to another hairstyle in which neck and cheeks under the hair change: before hair is cut there."""
_NECK = (-0.03, 0.0)  # metres below the head's origin from which skin is neck or cheek
_FEW = 50  # fewer hidden Gaussians than this are not treated as a hair cut
_TOGETHER = 0.35
"""Fraction of the teacher's spread in time that is kept: hair that appears strand by strand looks like speckles at first."""
_TOLD_AT = (0.15, 0.3, 0.5, 0.7, 1.0)  # weights whose values the initial codes are computed from


@dataclass(frozen=True, eq=False)
class Rows:
    """N base Gaussians, then those that an attribute adds (S on the surface, R rigid), and their transition from 0 to 1."""

    own: int
    """N."""
    features: torch.Tensor
    """(N + S + R, FEATURES)"""
    ends: torch.Tensor
    """(N + S + R, OUTPUTS) outputs at weight 1, in the units of `perse_live.decoder.network`."""
    before: torch.Tensor
    """(N + S + R, 1) opacity without the attribute."""
    appear: torch.Tensor
    """(N + S + R, 1) stage of the transition, [0, 1], at which a Gaussian starts to appear, or a base Gaussian to change."""
    lasts: torch.Tensor
    """(N + S + R, 1) fraction of the transition that this takes."""
    least_size: float
    """Size of added Gaussians at weight 0, against their final size."""
    known: torch.Tensor | None = None
    """(T, N + S + R, OUTPUTS) outputs at equally spaced stages, where the whole transition is known: from one hairstyle to
    another."""

    def __len__(self) -> int:
        return len(self.features)

    def at(self, way: torch.Tensor, chosen: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """Target outputs (n, OUTPUTS) of rows (n,) at stages `way` (n, 1) of the transition, [0, 1]."""
        if self.known is not None:
            return _between_knots(self.known, way, chosen)
        ends, appear, lasts = self.ends[chosen], self.appear[chosen], self.lasts[chosen]
        shown = ((way - appear) / lasts).clamp(0, 1)
        added = self._added(chosen, len(ends))
        grown = torch.log((self.least_size + (1 - self.least_size) * way) / self.least_size)
        places, size = (
            torch.where(added, way, shown) * ends[:, PLACE],
            torch.where(added, grown, shown * ends[:, SIZE : SIZE + 1]),
        )
        return torch.cat(
            [
                torch.where(added, way, shown) * ends[:, COLOR],
                shown * ends[:, OPACITY : OPACITY + 1],
                places,
                size,
            ],
            1,
        )

    def first_codes(self) -> torch.Tensor:
        """Initial codes (N + S + R, CODES): principal components of the rows' outputs along the transition."""
        count = len(self)
        if not count:
            return torch.zeros(0, CODES)
        ways = torch.cat([self.at(torch.full((count, 1), weight)) for weight in _TOLD_AT], 1)
        wanted = min(CODES, *ways.shape)
        left, strengths, _ = torch.linalg.svd(ways - ways.mean(0), full_matrices=False)
        left, strengths = left[:, :wanted], strengths[:wanted]
        told = strengths > 1e-3 * count**0.5
        codes = torch.zeros(count, CODES)
        codes[:, :wanted] = left * count**0.5 * told
        return codes.clamp(-8, 8)

    def _added(self, chosen: torch.Tensor | slice, count: int) -> torch.Tensor:
        numbers = torch.arange(len(self))[chosen] if isinstance(chosen, slice) else chosen
        return (numbers >= self.own).reshape(count, 1)


def _between_knots(
    known: torch.Tensor, way: torch.Tensor, chosen: torch.Tensor | slice
) -> torch.Tensor:
    rows = torch.arange(known.shape[1])[chosen] if isinstance(chosen, slice) else chosen
    last = len(known) - 2
    place = way[:, 0].clamp(0, 1) * (last + 1)
    below = place.long().clamp(max=last)
    part = (place - below)[:, None]
    return known[below, rows] * (1 - part) + known[below + 1, rows] * part


def rows_of(avatar: Avatar, look: Attribute, way: HairstyleWay | None = None) -> Rows:
    """The rows of an attribute with known values at weight 1. way: of another hairstyle, as which the look has then `begun`."""
    rows = _plain_rows(avatar, look)
    return rows if way is None else _with_way(avatar, look, rows, way)


def _with_way(avatar: Avatar, look: Attribute, rows: Rows, way: HairstyleWay) -> Rows:
    """Rows that follow the hair; the scalp changes evenly, other skin before the hair in front of it is cut."""
    shares = torch.from_numpy(SHARES.astype(np.float32))[:, None]
    evenly = ((shares - way.bare_from) / (1 - way.bare_from)).clamp(0, 1)
    places = places_at_rest(avatar.rig, avatar.surface, avatar.rigid)[look.ids]
    early = np.zeros((1, len(rows)), np.float32)
    early[0, : rows.own] = ramp(-places[:, 1], *_NECK) * (1 - way.scalp.field.foot(places).scalp)
    skin = evenly + torch.from_numpy(early) * ((shares / _HIDDEN_SKIN).clamp(max=1) - evenly)
    known = skin[..., None] * rows.ends
    bits = torch.from_numpy(np.nonzero(look.opacities == 0)[0])  # the hair's own are set below
    known[:, bits] = (shares / _BITS).clamp(max=1)[..., None] * rows.ends[bits]
    at = torch.from_numpy(way.rows.astype(np.int64))
    ids = look.ids[way.rows]
    own = np.zeros((len(SHARES), len(ids), OUTPUTS), np.float32)
    own[..., COLOR] = way.own.colors - avatar.colors[ids]
    own[..., OPACITY] = SURELY * (way.own.shown - 1) * avatar.opacities[ids]
    own[..., PLACE] = (way.own.places - way.own.places[0]) / PLACE_UNIT
    known[:, at] = torch.from_numpy(own)
    added, least = look.added, look.added.least_size
    its = np.zeros((len(SHARES), len(added), OUTPUTS), np.float32)
    its[..., COLOR] = way.added.colors - added.colors
    its[..., OPACITY] = (1 + SURELY * (way.added.shown - 1)) * added.opacities
    its[0, :, OPACITY] = 0
    its[..., PLACE] = (way.added.places - way.added.places[0]) / PLACE_UNIT
    its[..., SIZE] = -np.log(least)
    known[:, rows.own :] = torch.from_numpy(its)
    everywhere = torch.zeros_like(rows.appear)
    return replace(rows, ends=known[-1], appear=everywhere, lasts=everywhere + 1, known=known)


def _plain_rows(avatar: Avatar, look: Attribute) -> Rows:
    added = look.added
    own = np.zeros((len(look.ids), OUTPUTS), np.float32)
    own[:, COLOR] = look.colors - avatar.colors[look.ids]
    own[:, OPACITY] = look.opacities - avatar.opacities[look.ids]
    rest, full = added_places(avatar, look)
    ends = np.zeros((len(added), OUTPUTS), np.float32)
    ends[:, OPACITY], ends[:, PLACE], ends[:, SIZE] = (
        added.opacities,
        (full - rest) / PLACE_UNIT,
        -np.log(added.least_size),
    )
    features = np.concatenate(
        [own_features(avatar)[look.ids], features_of(rest, added.colors, added.regions)]
    )
    before = np.concatenate([avatar.opacities[look.ids], np.zeros(len(added), np.float32)])
    appear, lasts = _times(avatar, look, full)
    return Rows(
        len(look.ids),
        torch.from_numpy(features),
        torch.from_numpy(np.concatenate([own, ends])),
        torch.from_numpy(before)[:, None],
        torch.from_numpy(appear)[:, None],
        torch.from_numpy(lasts)[:, None],
        added.least_size,
    )


def _times(
    avatar: Avatar, look: Attribute, places: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """Stages at which base and added Gaussians (final means (S + R, 3)) start to change, and for how long.

    Base Gaussians under a solid object follow its nearest Gaussian.
    """
    added = look.added
    if not added.solid or not len(added):
        appear = _TOGETHER * added.appear
        cut, lasts = _cut(avatar, look)
        begins = np.concatenate([cut, appear])
        return begins.astype(np.float32), np.concatenate(
            [lasts, np.minimum(_SOON, 1 - appear)]
        ).astype(np.float32)
    near = np.asarray(
        KDTree(places).query(places_at_rest(avatar.rig, avatar.surface, avatar.rigid)[look.ids])[1]
    )
    under = np.minimum(added.appear[near] + _COVERED, 1 - _AT_ONCE)
    begins = np.concatenate([under, added.appear]).astype(np.float32)
    return begins, np.full(len(begins), _AT_ONCE, np.float32)


def _cut(avatar: Avatar, look: Attribute) -> tuple[Float32Array, Float32Array]:
    """Stages at which base Gaussians start to change, and for how long: hair is removed from its lower end upwards."""
    begins, lasts = np.zeros(len(look.ids), np.float32), np.ones(len(look.ids), np.float32)
    gone = (look.opacities == 0) & (avatar.opacities[look.ids] > 0)
    if gone.sum() > _FEW:
        heights = places_at_rest(avatar.rig, avatar.surface, avatar.rigid)[look.ids[gone], 1]
        low, high = np.percentile(heights, (2, 98))
        begins[gone] = (1 - _CUT) * np.clip((heights - low) / max(high - low, 1e-6), 0, 1)
        lasts[gone] = _CUT
    return begins, lasts


def added_places(avatar: Avatar, look: Attribute) -> tuple[Float32Array, Float32Array]:
    """Means of the added Gaussians at weight 0 and at weight 1, both (S + R, 3) metres at rest."""
    return places_at_rest(avatar.rig, *begin_of(look)), places_at_rest(
        avatar.rig, look.added.surface, look.added.rigid
    )


def begin_of(look: Attribute) -> tuple[SurfaceBinding, RigidBinding]:
    """The added Gaussians at weight 0: initial means and sizes."""
    added, least = look.added, np.float32(look.added.least_size)
    return (
        replace(added.surface, positions=added.surface_start, axes=added.surface.axes * least),
        replace(added.rigid, means=added.rigid_start, scales=added.rigid.scales * least),
    )
