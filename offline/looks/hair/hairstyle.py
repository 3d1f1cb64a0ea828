"""Hairstyles of one head in a form in which they are compared: Gaussians with roots on the scalp, summarised by guide strands."""

from __future__ import annotations

from dataclasses import dataclass

from offline.looks.hair.grown_strands import SkinField
from offline.looks.hair.haircut import Haircut, haircut
from offline.looks.hair.rooting import guide_roots, rooted
from offline.looks.measured_head import Skull, head_shape
from offline.rig.identity import load_identity_model
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.attributes import AddedGaussians
from perse_live.avatar import Avatar
from perse_live.hair.guides import (
    Guides,
    OnGuides,
    RootedHair,
    fit_guides,
    on_guides,
    relative_places,
)


@dataclass(frozen=True, eq=False)
class Scalp:
    """What hairstyles of one head are compared on."""

    field: SkinField
    skull: Skull
    guide_roots: FloatArray
    """(R, 3) metres on the template."""

    def haircut(self, mine: Hairstyle, other: Hairstyle) -> Haircut:
        """How hair of one hairstyle is cut that another lacks."""
        return haircut(self.field, self.skull, mine.hair.places, other.hair.places)


def scalp_of(avatar: Avatar) -> Scalp | None:
    """None for rigs that are not a whole head."""
    if len(avatar.rig.vertices) != len(load_identity_model().mean):
        return None
    shape = head_shape(avatar)
    return Scalp(SkinField(shape), shape.skull, guide_roots(shape))


@dataclass(frozen=True, eq=False)
class Hairstyle:
    """N Gaussians of hair, their guides, and how far each is off its place on them."""

    hair: RootedHair
    guides: Guides
    at: OnGuides
    offsets: FloatArray
    """(N, 3) metres."""
    colors: Float32Array
    """(N, 3) sRGB."""

    def __len__(self) -> int:
        return len(self.hair)

    def selected(
        self, scalp: Scalp, keep: BoolArray, places: FloatArray | None = None
    ) -> Hairstyle:
        """What is left of it when hair is cut. keep: (N,); places: (N, 3) metres to which Gaussians have moved."""
        moved = 0.0 if places is None else (places - self.hair.places)[keep]
        lines = self.hair.lines[keep]
        return _on_its_guides(
            scalp,
            RootedHair(self.hair.roots_template[keep], lines),
            self.colors[keep],
            moved,
        )


def hairstyle(
    scalp: Scalp, means: FloatArray, quats: FloatArray, scales: FloatArray, colors: Float32Array
) -> Hairstyle:
    """Of Gaussians (N, ...), head frame at rest; none is a bald head."""
    return _on_its_guides(scalp, rooted(scalp.field, means, quats, scales), colors, 0.0)


def hairstyle_of(scalp: Scalp, added: AddedGaussians) -> Hairstyle:
    """Of what a look adds, all of it rigid."""
    rigid = added.rigid
    return hairstyle(scalp, rigid.means, rigid.quats, rigid.scales, added.colors)


def _on_its_guides(
    scalp: Scalp, hair: RootedHair, colors: Float32Array, moved: FloatArray | float
) -> Hairstyle:
    """moved: (N, 3) metres by which Gaussians have left the ends of their lines."""
    guides = fit_guides(scalp.guide_roots, hair)
    at = on_guides(hair, guides)
    offsets = hair.places + moved - hair.roots - relative_places(guides.strands, at)
    return Hairstyle(hair, guides, at, offsets, colors)
