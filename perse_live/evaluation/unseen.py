"""Accuracy of a learnt look: the network's pictures against the teacher's, in poses outside of the training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import BoolArray, UInt8Array
from perse_live.evaluation.image_metrics import psnr, structure

_SHOWN = 4  # of 255: change of a channel from which a pixel belongs to the look


@dataclass(frozen=True)
class UnseenScores:
    """Means over all pictures."""

    psnr: float
    """dB, of the whole picture, as PERSE has it; at most 60."""
    ssim: float
    """Of the whole picture's luma."""
    part_psnr: float
    """dB, of the pixels only that the look changes."""
    part_ssim: float
    """SSIM of the luma of those pixels."""


@dataclass(frozen=True, eq=False)
class UnseenFrame:
    """One pose, twice (H, W, 3)."""

    part: BoolArray
    """(H, W) the pixels that the look changes."""
    taught: UInt8Array
    """Picture of the teacher or data set."""
    learnt: UInt8Array
    """Picture of the network."""


def changed_part(bare: UInt8Array, taught: UInt8Array) -> BoolArray:
    """(H, W) where a picture (H, W, 3) without a look differs from one with it."""
    return np.abs(taught.astype(np.int16) - bare).max(2) > _SHOWN


def unseen_scores(frames: Sequence[UnseenFrame]) -> UnseenScores:
    """Measure pictures of one look. Raises ValueError for none."""
    if not frames:
        raise ValueError("no pictures: pass one at least")
    whole, parts = [], []
    for one in frames:
        everywhere = np.ones(one.taught.shape[:2], np.bool_)
        whole.append(
            (
                psnr(one.taught, one.learnt, everywhere),
                structure(one.taught, one.learnt, everywhere)[0],
            )
        )
        if one.part.any():
            parts.append(
                (
                    psnr(one.taught, one.learnt, one.part),
                    structure(one.taught, one.learnt, one.part)[0],
                )
            )
    return UnseenScores(
        *(float(value) for value in (*np.mean(whole, 0), *np.mean(parts or whole, 0)))
    )
