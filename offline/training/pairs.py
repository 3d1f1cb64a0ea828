"""Pairs of looks that share the weight of their slot: how what one adds becomes what the other adds.

Parts of one kind travel into each other by optimal transport. Hairstyles that stand in the own hair's place do so as the own
hair becomes a look's (`offline.looks.hair.hairstyle_way`), a shaved head among them. What only comes on top of the own hair,
such as a fringe, is no hairstyle's partner: then each of the two comes and goes as it does alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from offline.looks.hair.hairstyle import Hairstyle, Scalp
from offline.looks.hair.hairstyle_way import SHARES, HairOnTheWay, HairstyleWay, on_the_way
from offline.training.base_decoder import own_features
from offline.training.gaussian_rows import SURELY
from offline.training.transport import travel
from perse_live.arrays import Float32Array, FloatArray
from perse_live.attributes import Attribute, LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.decoder.attribute_change import base_change, features_of_added
from perse_live.decoder.features import places_at_rest
from perse_live.decoder.network import (
    COLOR,
    OPACITY,
    OUTPUTS,
    PLACE,
    PLACE_UNIT,
    Adapter,
    Decoder,
    decode,
    fold,
)
from perse_live.regions import Region

_CROSSED = 0.85
"""Share of a morph on which a part fades in: half-way, both are more than half there."""
_HIDDEN = 0.5  # share of the own hair that a hairstyle takes away, at least


@dataclass(frozen=True, eq=False)
class Mate:
    """Another attribute of the slot, as it is: what the new one adds grows into what it adds."""

    name: str
    adapter: Adapter
    features: torch.Tensor
    """(M, FEATURES) of what it adds."""
    codes: torch.Tensor
    """(M, CODES)"""
    begin: Float32Array
    """(M, 3) where that is at weight 0, metres at rest."""
    hair: torch.Tensor
    """(M, 1) 1 where it is hair."""
    tints_hair: bool
    hides_hair: bool
    """Whether it takes the avatar's own hair away, being another hairstyle."""
    look: LearnedAttribute
    decoder: Decoder

    def alone(self, weight: float) -> torch.Tensor:
        """What it adds at weight 1, alone: outputs (M, OUTPUTS)."""
        features = self.features.numpy()
        with_it = decode(
            fold(self.decoder, [(self.adapter, weight)], reader=0), features, self.codes.numpy()
        )
        return torch.from_numpy(
            with_it - decode(fold(self.decoder, [], reader=None), features, None)
        )

    def ends(self) -> Float32Array:
        """(M, 3) where what it adds is at full weight, metres at rest."""
        return self.begin + self.alone(1.0)[:, PLACE].numpy() * np.float32(PLACE_UNIT)

    def tint(self, features: torch.Tensor, weight: float) -> torch.Tensor:
        """How it colours Gaussians of hair: (n, 3)."""
        rows = features.numpy()
        tinted = decode(fold(self.decoder, [(self.adapter, weight)], reader=None), rows, None)
        return torch.from_numpy(tinted - decode(fold(self.decoder, [], reader=None), rows, None))[
            :, COLOR
        ]


def mates_of(avatar: Avatar, name: str, slot: str) -> list[Mate]:
    """The learned attributes of a slot but for one."""
    if avatar.decoder is None:
        return []
    found: list[Mate] = []
    for one in avatar.attributes:
        if isinstance(one, LearnedAttribute) and one.slot == slot and one.name != name:
            features = features_of_added(avatar.rig, one)
            hair = torch.from_numpy((one.added.regions == Region.HAIR).astype(np.float32))[:, None]
            begin = places_at_rest(avatar.rig, one.added.surface, one.added.rigid)
            found.append(
                Mate(
                    one.name,
                    one.adapter,
                    torch.from_numpy(features),
                    torch.from_numpy(one.added.codes),
                    begin,
                    hair,
                    one.tints_hair,
                    _hides_hair(avatar, one),
                    one,
                    avatar.decoder,
                )
            )
    return found


def _hides_hair(avatar: Avatar, one: LearnedAttribute) -> bool:
    """avatar: its attributes do not matter, but it has a decoder."""
    assert avatar.decoder is not None
    hair = np.isin(avatar.regions[one.ids], (Region.HAIR, Region.HAIR_BACK))
    if one.slot != "hair" or not hair.any():
        return False
    change = base_change(avatar.decoder, own_features(avatar)[one.ids], one, 1.0)
    before = avatar.opacities[one.ids][hair]
    left = np.clip(before + change.opacities[hair], 0, 1)
    return float(left.sum()) < (1 - _HIDDEN) * float(before.sum())


@dataclass(frozen=True, eq=False)
class Travel:
    """How the N Gaussians that one look adds go to where another's are, at even shares of the weight from 0 to 1."""

    changes: torch.Tensor
    """(T, N, OUTPUTS) what is added to the outputs; of the opacity: what it is multiplied with."""

    def applied(self, outputs: torch.Tensor, chosen: torch.Tensor, share: float) -> torch.Tensor:
        """Outputs (n, OUTPUTS) of Gaussians `chosen` (n,) when their look has a share of the pair's weight."""
        place = share * (len(self.changes) - 1)
        below = min(int(place), len(self.changes) - 2)
        part = place - below
        change = (1 - part) * self.changes[below, chosen] + part * self.changes[below + 1, chosen]
        out = outputs + change
        shown = outputs[
            :, OPACITY
        ]  # what is hidden anyway stays so, whatever the sign of its factor
        out[:, OPACITY] = shown.clamp(min=0) * change[:, OPACITY] + shown.clamp(max=0)
        return out


@dataclass(frozen=True, eq=False)
class Pair:
    """A new look and one that is there."""

    mate: Mate
    there: Travel | None
    """Of what the new one adds; None where each comes and goes as it does alone."""
    back: Travel | None
    """Of what the mate adds."""


def pairs_of(
    avatar: Avatar, look: Attribute, ends: Float32Array, way: HairstyleWay | None
) -> list[Pair]:
    """With all others of the look's slot. ends: (S + R, 3) where what it adds is; way: for hairstyles."""
    mates = mates_of(avatar, look.name, look.slot)
    if look.slot != "hair":
        return [_transported(mate, ends) for mate in mates]
    return [
        _by_hairstyle(way.scalp, mate, way.hairstyle)
        if way is not None and mate.hides_hair and not len(mate.look.added.surface.triangles)
        else Pair(mate, None, None)
        for mate in mates
    ]


def _transported(mate: Mate, ends: FloatArray) -> Pair:
    if not len(ends) or not len(mate.features):
        return Pair(mate, None, None)
    its = mate.ends()
    return Pair(mate, _carried(travel(ends, its)), _carried(travel(its, ends)))


def _carried(way: FloatArray) -> Travel:
    """way: (N, 3) metres, of the whole displacement."""
    changes = np.zeros((len(SHARES), len(way), OUTPUTS), np.float32)
    shown = np.minimum(SHARES / _CROSSED, 1)[:, None]
    changes[..., OPACITY] = shown * shown * (3 - 2 * shown)
    changes[..., PLACE] = (1 - SHARES)[:, None, None] / PLACE_UNIT * way
    return Travel(torch.from_numpy(changes))


def _by_hairstyle(scalp: Scalp, mate: Mate, mine: Hairstyle) -> Pair:
    full, added = mate.alone(1.0).numpy(), mate.look.added
    its = Hairstyle(mate.ends(), np.clip(added.colors + full[:, COLOR], 0, 1).astype(np.float32))
    return Pair(mate, _grown(on_the_way(scalp, mine, its)), _grown(on_the_way(scalp, its, mine)))


def _grown(way: HairOnTheWay) -> Travel:
    """way: from the Gaussians' own hairstyle to the other."""
    changes = np.zeros((*way.shown.shape, OUTPUTS), np.float32)
    changes[..., COLOR] = way.colors - way.colors[0]
    changes[..., OPACITY] = 1 + SURELY * (way.shown - 1)
    changes[..., PLACE] = (way.places - way.places[0]) / PLACE_UNIT
    return Travel(torch.from_numpy(changes[::-1].copy()))
