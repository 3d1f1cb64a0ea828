"""Attributes: looks that an avatar can fade into, such as a beard, glasses, make-up or another shape of the nose.

There are two forms. An `Attribute` is explicit: it gives the state at full weight, that is colours and opacities of changed
Gaussians, added Gaussians (and their positions at weight 0), and offsets of the rig's vertices. The builder makes and edits this
form. A `LearnedAttribute` is what an avatar's file holds: a LoRA adapter of the avatar's network that decodes the state at any
weight. `perse_live.attribute_blending` evaluates both at any weights.
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
"""Weights of attributes in the same slot sum to at most 1; attributes of different slots combine freely."""


@dataclass(frozen=True, eq=False)
class AddedGaussians:
    """Gaussians that only exist with an attribute: S on the rig's surface, then R that move rigidly.

    At weight w each is at start + w (end - start), scaled from `least_size` to 1, and fades in over the first 40 % of the weights
    from `appear` to 1.
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
    """Whether it is an object, such as a hat, whose Gaussians appear opaque one after another by `appear`, together with the
    changes of the base Gaussians that they cover."""

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
    """(N,) indices of the changed base Gaussians."""
    colors: Float32Array
    """(N, 3) their colours at full weight, sRGB."""
    opacities: Float32Array
    """(N,) their opacities at full weight; 0 hides what the attribute covers."""
    vertex_ids: Int32Array
    """(M,) indices of the moved vertices of the rig."""
    vertex_offsets: Float32Array
    """(M, 3) their offsets at full weight, metres, head frame."""
    added: AddedGaussians
    """What comes with it."""
    correctives: LookCorrectives | None = None
    """Its correctives; None: changed Gaussians keep those of the avatar, added ones have none."""


@dataclass(frozen=True, eq=False)
class LearnedGaussians:
    """Gaussians that only exist with an attribute, in their state at weight 0: S on the rig's surface, then R that move rigidly.

    Their opacity is 0 at weight 0; the network decodes opacity, displacement and scale.
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
"""Number of knots of a pace curve, evenly spaced in [0, 1]."""


@dataclass(frozen=True)
class PhotoOrigin:
    """Provenance of a look that was taken from a photo of another person."""

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
    """As in `Attribute`, also label and slot."""
    label: str
    slot: str
    ids: Int32Array
    """(N,) indices of the base Gaussians that may change: the attribute's support."""
    codes: Float32Array
    """(N, CODES) input codes of each for the adapter."""
    added: LearnedGaussians
    """What comes with it."""
    adapter: Adapter
    """LoRA on the avatar's `decoder`."""
    moves_base: bool
    """Whether the avatar's base Gaussians also move and change size; else only their colours and opacities change."""
    tints_hair: bool
    """Whether added hair of attributes in other slots is coloured too."""
    vertex_ids: Int32Array
    """(M,) vertices of the rig that move."""
    vertex_offsets: Float32Array
    """(M, 3) metres, head frame, at full weight: a face's shape is linear in the weight."""
    origin: PhotoOrigin | None = None
    """Set where it was taken from another person's photo."""
    pace: Float32Array | None = None
    """(PACE_KNOTS,) non-decreasing from 0 to 1: the network's weight at evenly spaced user weights, chosen so that the picture
    changes evenly. None: identity."""
    correctives: LookCorrectives | None = None
    """As in `Attribute`."""


Look = Attribute | LearnedAttribute
"""Either form; both have name, label, slot, ids, vertex ids and offsets, and added Gaussians with bindings, colours and
regions.
"""


def nothing_added() -> AddedGaussians:
    """An empty set, for attributes that only change base Gaussians."""

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
