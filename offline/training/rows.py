"""An attribute as the network sees it: rows, where they end, and how they get there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from offline.training.shared import own_features
from perse_live.arrays import Float32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.decoder.features import features_of, places_at_rest
from perse_live.decoder.network import CODES, COLOR, OPACITY, OUTPUTS, PLACE, PLACE_UNIT, SIZE

_EASE, _EASE_OF_GROWTH = 1.7, 1.5
"""Powers of a Gaussian's own way with which its opacity grows: several lie upon each other, the picture is to change evenly."""
_GROWING, _HURRY = 0.5, 0.7  # what starts smaller than this grows, fast at first: its area would else come mostly at the end
_TOGETHER = 0.35
"""Share of the teacher's spread in time that is kept: hair that comes strand by strand would look like speckles at first."""


@dataclass(frozen=True, eq=False)
class Rows:
    """N own Gaussians of the avatar, then those that an attribute adds (S on the surface, R rigid), and their way from 0 to 1."""

    own: int
    """N."""
    features: torch.Tensor
    """(N + S + R, FEATURES)"""
    ends: torch.Tensor
    """(N + S + R, OUTPUTS) at full weight, in the units of `perse_live.decoder.network`."""
    before: torch.Tensor
    """(N + S + R, 1) opacity without the attribute."""
    appear: torch.Tensor
    """(N + S + R, 1) weight at which one that is added begins to appear; 0 for own ones."""
    least_size: float
    """Of what is added, at weight 0."""

    def __len__(self) -> int:
        return len(self.features)

    def at(self, weights: torch.Tensor, chosen: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """What the network should say under weights (n, 1), of rows (n,): (n, OUTPUTS)."""
        ends, appear = self.ends[chosen], self.appear[chosen]
        out = ends * weights
        added = self._added(chosen, len(ends))
        grows = self.least_size < _GROWING
        shown = ((weights - appear) / (1 - appear).clamp(min=1e-3)).clamp(0, 1) ** (_EASE_OF_GROWTH if grows else _EASE)
        way = weights**_HURRY if grows else weights
        grown = torch.log((self.least_size + (1 - self.least_size) * way) / self.least_size)
        opacity = torch.where(added, ends[:, OPACITY:OPACITY + 1] * shown, out[:, OPACITY:OPACITY + 1])
        places, size = torch.where(added, ends[:, PLACE] * way, out[:, PLACE]), torch.where(added, grown, out[:, SIZE:SIZE + 1])
        return torch.cat([out[:, COLOR], opacity, places, size], 1)

    def first_codes(self) -> torch.Tensor:
        """Codes (N + S + R, CODES) that tell rows apart by where they go: principal components of their ways."""
        count = len(self)
        if not count:
            return torch.zeros(0, CODES)
        ways = torch.cat([self.at(torch.full((count, 1), weight)) for weight in (0.3, 0.6, 1.0)], 1)
        wanted = min(CODES, *ways.shape)
        left, strengths, _ = torch.pca_lowrank(ways, q=wanted)
        told = strengths > 1e-3 * count**0.5
        codes = torch.zeros(count, CODES)
        codes[:, :wanted] = left * count**0.5 * told
        return codes.clamp(-8, 8)

    def _added(self, chosen: torch.Tensor | slice, count: int) -> torch.Tensor:
        numbers = torch.arange(len(self))[chosen] if isinstance(chosen, slice) else chosen
        return (numbers >= self.own).reshape(count, 1)


def rows_of(avatar: Avatar, look: Attribute) -> Rows:
    """The rows of an attribute that is known outright."""
    added = look.added
    own = np.zeros((len(look.ids), OUTPUTS), np.float32)
    own[:, COLOR] = look.colors - avatar.colors[look.ids]
    own[:, OPACITY] = look.opacities - avatar.opacities[look.ids]
    rest, full = added_places(avatar, look)
    ends = np.zeros((len(added), OUTPUTS), np.float32)
    ends[:, OPACITY], ends[:, PLACE], ends[:, SIZE] = added.opacities, (full - rest) / PLACE_UNIT, -np.log(added.least_size)
    features = np.concatenate([own_features(avatar)[look.ids], features_of(rest, added.colors, added.regions)])
    before = np.concatenate([avatar.opacities[look.ids], np.zeros(len(added), np.float32)])
    appear = np.concatenate([np.zeros(len(look.ids), np.float32), _TOGETHER * added.appear])
    return Rows(len(look.ids), torch.from_numpy(features), torch.from_numpy(np.concatenate([own, ends])),
                torch.from_numpy(before)[:, None], torch.from_numpy(appear.astype(np.float32))[:, None], added.least_size)


def added_places(avatar: Avatar, look: Attribute) -> tuple[Float32Array, Float32Array]:
    """Where what an attribute adds is at weight 0 and at weight 1, both (S + R, 3) metres at rest."""
    added = look.added
    begin = replace(added.surface, positions=added.surface_start)
    return (places_at_rest(avatar.rig, begin, replace(added.rigid, means=added.rigid_start)),
            places_at_rest(avatar.rig, added.surface, added.rigid))
