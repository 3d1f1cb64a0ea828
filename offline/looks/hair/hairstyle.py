"""Hairstyles of one head in a form in which they are compared."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.spatial import KDTree

from offline.looks.hair.grown_strands import SkinField
from offline.looks.hair.haircut import BESIDE, Haircut, haircut
from offline.looks.measured_head import Skull, head_shape
from offline.rig.identity import load_identity_model
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.attributes import AddedGaussians
from perse_live.avatar import Avatar


@dataclass(frozen=True, eq=False)
class Scalp:
    """What hairstyles of one head are compared on."""

    field: SkinField
    skull: Skull

    def haircut(self, mine: Hairstyle, other: Hairstyle) -> Haircut:
        """How hair of one hairstyle is cut that another lacks."""
        return haircut(self.field, self.skull, mine.places, other.places)

    def bared(self, hair: Hairstyle) -> FloatArray:
        """(M, 3) metres: points of the scalp that a hairstyle leaves bare."""
        scalp = self.field.scalp_points()
        if not len(hair):
            return scalp
        return scalp[KDTree(hair.places).query(scalp)[0] > BESIDE]


def scalp_of(avatar: Avatar) -> Scalp | None:
    """None for rigs that are not a whole head."""
    if len(avatar.rig.vertices) != len(load_identity_model().mean):
        return None
    shape = head_shape(avatar)
    return Scalp(SkinField(shape), shape.skull)


@dataclass(frozen=True, eq=False)
class Hairstyle:
    """N Gaussians of hair; none is a bald head."""

    places: Float32Array
    """(N, 3) metres, head frame at rest."""
    colors: Float32Array
    """(N, 3) sRGB."""

    def __len__(self) -> int:
        return len(self.places)

    def selected(self, keep: BoolArray) -> Hairstyle:
        """What is left of it when hair is cut. keep: (N,)."""
        return Hairstyle(self.places[keep], self.colors[keep])


def hairstyle_of(added: AddedGaussians) -> Hairstyle:
    """Of what a look adds, all of it rigid."""
    return Hairstyle(added.rigid.means, added.colors)
