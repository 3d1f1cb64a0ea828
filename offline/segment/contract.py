"""The contract of segmenters: for each pixel of a portrait the probabilities of six classes.

A segmenter is called with the portrait (H, W, 3) uint8 and returns (H, W, 6) float32, the classes of `CLASSES` in their order,
each in [0, 1], together 1. It raises UserError where its model cannot be used. There are two: `multiclass.segmenter`, MediaPipe's
network where the user has the file, and `color_model.segmenter`, which learns colours at the fitted head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import Float32Array, UInt8Array

CLASSES = ("background", "hair", "body skin", "face skin", "clothes", "other")
"""In the order of MediaPipe's Selfie Multiclass; "other" is what somebody wears or holds, as hats and glasses."""
BACKGROUND, HAIR, BODY_SKIN, FACE_SKIN, CLOTHES, OTHER = range(len(CLASSES))

Segmenter = Callable[[UInt8Array], Float32Array]
"""A portrait (H, W, 3) to the probabilities (H, W, 6) of `CLASSES`."""

VISIBLE, OPAQUE = 0.05, 0.95
"""Alpha above which a pixel shows some of the person, and above which it shows the person alone."""
SURE = 0.7
"""Probability above which colours of a part (skin, hair, clothes) are learnt from a pixel."""
_LEAST_PERSON = 1e-3  # lower bound of the person's probability in the division by it


@dataclass(frozen=True)
class PartMaps:
    """Probabilities of three parts inside the person; each in [0, 1], together 1."""

    skin: Float32Array
    """(H, W) face, ears, neck."""
    hair: Float32Array
    """(H, W) on the head; beards and brows count as skin."""
    clothes: Float32Array
    """(H, W) everything below that is neither."""


def with_background(parts: PartMaps, person: Float32Array) -> Float32Array:
    """Probabilities (H, W, 6) of parts inside a person (H, W) in [0, 1]; all skin counts as the face's."""
    inside = np.maximum(person, np.float32(_LEAST_PERSON))
    none = np.zeros_like(inside)
    return np.stack(
        [1 - inside, parts.hair * inside, none, parts.skin * inside, parts.clothes * inside, none],
        -1,
    )


def parts_of(probabilities: Float32Array, worn_on_head: Float32Array) -> PartMaps:
    """The three parts that are lifted, inside the person.

    probabilities: (H, W, 6); worn_on_head: (H, W) in [0, 1], how far what is "other" is lifted with the hair, as hats are; the
    rest goes with the clothes.
    """
    inside = np.maximum(1 - probabilities[..., BACKGROUND], np.float32(_LEAST_PERSON))
    other = probabilities[..., OTHER]
    hair = (probabilities[..., HAIR] + other * worn_on_head) / inside
    clothes = (probabilities[..., CLOTHES] + other * (1 - worn_on_head)) / inside
    skin = (probabilities[..., BODY_SKIN] + probabilities[..., FACE_SKIN]) / inside
    return PartMaps(*(np.clip(share, 0, 1).astype(np.float32) for share in (skin, hair, clothes)))
