"""Attributes: looks that an avatar can fade into, such as a beard, glasses, make-up or another shape of the nose.

There are two forms. An `Attribute` says outright what is different at full weight: colours and opacities of Gaussians that are
there, Gaussians that are added (and where they grow from), vertices of the rig that move. Makers and editors work in it. A
`LearnedAttribute` is what an avatar's file holds: an adapter of the avatar's network that decodes the same, and what happens on
the way. `perse_live.attribute_blending` has the avatar at any weights of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array, Int32Array, UInt8Array
from perse_live.correctives import LookCorrectives
from perse_live.decoder.network import CODES, Adapter

SLOTS = (
    "hair",
    "hat",
    "glasses",
    "beard",
    "eyebrows",
    "eyes",
    "nose",
    "mouth",
    "skin",
    "make-up",
    "earrings",
    "headphones",
    "cloth",
    "face",
)
"""Attributes of one slot share the weight 1 between them; those of different slots combine freely."""


@dataclass(frozen=True, eq=False)
class AddedGaussians:
    """Gaussians that only exist with an attribute: S on the rig's surface, then R that move rigidly.

    At weight w each is at start + w (end - start), grown from `least_size` to its full size, and fades in within the first part
    of the way.
    """

    surface: SurfaceBinding
    """(S,) at full weight."""
    surface_start: Float32Array
    """(S, 3) `positions` (b1, b2, lift) at weight 0: strands start at their roots, frames of glasses where they are."""
    rigid: RigidBinding
    """(R,) at full weight."""
    rigid_start: Float32Array
    """(R, 3) `means` at weight 0, metres."""
    opacities: Float32Array
    """(S + R,) in [0, 1]."""
    colors: Float32Array
    """(S + R, 3) sRGB."""
    regions: UInt8Array
    """(S + R,) `perse_live.regions.Region`."""
    appear: Float32Array
    """(S + R,) weight in [0, 0.9] at which each begins to appear: hair grows strand by strand, a cap all at once."""
    least_size: float
    """(0, 1] size at weight 0 relative to the full one."""
    solid: bool = False
    """Whether it is a thing, such as a hat, that is learnt to come piece by piece as `appear` says, each opaque at once, and with
    it what it does to the avatar's base Gaussians there."""

    def __len__(self) -> int:
        return len(self.opacities)


@dataclass(frozen=True, eq=False)
class Attribute:
    """One look at full weight."""

    name: str
    """Such as "beard-full": lower case, letters, digits and hyphens."""
    label: str
    """Display name, such as "Full beard"."""
    slot: str
    """One of `SLOTS`."""
    ids: Int32Array
    """(N,) Gaussians of the avatar that look different."""
    colors: Float32Array
    """(N, 3) theirs at full weight, sRGB."""
    opacities: Float32Array
    """(N,) theirs at full weight; 0 hides what the attribute covers."""
    vertex_ids: Int32Array
    """(M,) vertices of the rig that move."""
    vertex_offsets: Float32Array
    """(M, 3) metres, head frame."""
    added: AddedGaussians
    """What comes with it."""
    correctives: LookCorrectives | None = None
    """How its Gaussians depend on the expression; None: as the avatar's do, and what is added does not."""


@dataclass(frozen=True, eq=False)
class LearnedGaussians:
    """Gaussians that only exist with an attribute, as they are before it: S on the rig's surface, then R that move rigidly.

    Their opacity is 0 there; the network decodes how they appear, where they go and how they grow.
    """

    surface: SurfaceBinding
    """(S,)"""
    rigid: RigidBinding
    """(R,)"""
    colors: Float32Array
    """(S + R, 3) sRGB."""
    regions: UInt8Array
    """(S + R,) `perse_live.regions.Region`."""
    codes: Float32Array
    """(S + R, CODES)."""

    def __len__(self) -> int:
        return len(self.colors)


PACE_KNOTS = 41
"""Weights, evenly from 0 to 1, at which a pace is given."""


@dataclass(frozen=True)
class PhotoOrigin:
    """Whose photo a look was taken from."""

    photo_sha256: str
    """Of the photo's bytes."""
    consent_by: str
    """Who confirmed that the person in it agrees."""
    consent_at: str
    """When, ISO 8601 in UTC."""


@dataclass(frozen=True, eq=False)
class LearnedAttribute:
    """A look that the avatar's network decodes."""

    name: str
    """As in `Attribute`, and so are label and slot."""
    label: str
    slot: str
    ids: Int32Array
    """(N,) Gaussians of the avatar that may look different: the attribute's support. No other is touched."""
    codes: Float32Array
    """(N, CODES) what the adapter reads of each."""
    added: LearnedGaussians
    """What comes with it."""
    adapter: Adapter
    """LoRA on the avatar's `decoder`."""
    moves_base: bool
    """Whether the avatar's base Gaussians also move and change size; else only their colours and opacities change."""
    tints_hair: bool
    """Whether hair that attributes of other slots add is coloured too."""
    vertex_ids: Int32Array
    """(M,) vertices of the rig that move."""
    vertex_offsets: Float32Array
    """(M, 3) metres, head frame, at full weight: a face's shape is linear in the weight."""
    origin: PhotoOrigin | None = None
    """Where it is taken from another photo."""
    pace: Float32Array | None = None
    """(PACE_KNOTS,) from 0 to 1, never falling: how far along its way it is at those weights, such that pictures change evenly.
    The network knows the way only. None: as far as the weight says."""
    correctives: LookCorrectives | None = None
    """As in `Attribute`."""


Look = Attribute | LearnedAttribute
"""Both forms; what they have in common is name, label, slot, ids, vertices, and the length, bindings, colours and regions of what
is added."""


def nothing_added() -> AddedGaussians:
    """For attributes that only change what is there."""

    def none(*shape: int) -> Float32Array:
        return np.zeros((0, *shape), np.float32)

    surface = SurfaceBinding(np.zeros(0, np.int32), none(3), none(4), none(), np.zeros(0, np.uint8))
    return AddedGaussians(
        surface,
        none(3),
        RigidBinding(none(3), none(4), none(3), none()),
        none(3),
        none(),
        none(3),
        np.zeros(0, np.uint8),
        none(),
        1.0,
    )


def none_learned() -> LearnedGaussians:
    """`nothing_added` for learned attributes."""
    nothing = nothing_added()
    return LearnedGaussians(
        nothing.surface,
        nothing.rigid,
        nothing.colors,
        nothing.regions,
        np.zeros((0, CODES), np.float32),
    )
