"""Metrics of in-betweens of two hairstyles: bare scalp that neither end shows, hair before the face, and hair in pieces.

Measured on masks of the avatar's hair and skin, which the caller renders: `perse_live.avatar.painted` with `is_hair`
and `is_skin` of the avatar at each weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from perse_live.arrays import BoolArray, UInt8Array
from perse_live.avatar import Avatar
from perse_live.regions import Region

WEIGHTS = (0.25, 0.5, 0.75)
"""Weights at which in-betweens are measured."""
_SHOWN = 128  # of 255: a pixel belongs to what covers at least half of it
_MIN_PIECE = 2e-4  # share of the picture's pixels below which a piece of hair is a stray strand


@dataclass(frozen=True)
class HairFadeScores:
    """Worst of the in-betweens of a hair fade in one view."""

    bared: float
    """Pixels of skin where both ends show none, over the mean number of hair pixels of the ends; 0 where no end has hair."""
    strayed: float
    """Pixels of hair where both ends show skin, over the same number."""
    pieces: int
    """Connected parts of the hair beyond those of the end that has more."""


def is_hair(avatar: Avatar) -> BoolArray:
    """(G,) Gaussians of the hair of the head."""
    return np.isin(avatar.regions, (Region.HAIR, Region.HAIR_BACK))


def is_skin(avatar: Avatar) -> BoolArray:
    """(G,) Gaussians of skin, with the scalp."""
    return np.isin(avatar.regions, (Region.SKIN, Region.SCALP))


def hair_fade_scores(hair: Sequence[UInt8Array], skin: Sequence[UInt8Array]) -> HairFadeScores:
    """Measure a fade between two hairstyles.

    hair, skin: pictures (H, W, 3) of one end, the in-betweens and the other end, what belongs to it white and all else black.
    Raises ValueError for fewer than three pictures, or not as many of the one as of the other.
    """
    if len(hair) != len(skin) or len(hair) < 3:
        raise ValueError(
            f"{len(hair)} pictures of hair and {len(skin)} of skin; pass both ends and in-betweens"
        )
    hairy, bare = ([picture.max(2) >= _SHOWN for picture in film] for film in (hair, skin))
    size = (hairy[0].sum() + hairy[-1].sum()) / 2
    bared = max(int((one & ~bare[0] & ~bare[-1]).sum()) for one in bare[1:-1])
    strayed = max(int((one & bare[0] & bare[-1]).sum()) for one in hairy[1:-1])
    most = max(_pieces(hairy[0]), _pieces(hairy[-1]))
    return HairFadeScores(
        float(bared / size) if size else 0.0,
        float(strayed / size) if size else 0.0,
        max(max(_pieces(one) for one in hairy[1:-1]) - most, 0),
    )


def _pieces(mask: BoolArray) -> int:
    """Connected parts of a mask (H, W), without the smallest."""
    stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2]
    return int((stats[1:, cv2.CC_STAT_AREA] >= _MIN_PIECE * mask.size).sum())
