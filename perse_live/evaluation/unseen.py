"""How well the network has learnt a look: its pictures against the teacher's, in poses that training never drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import UInt8Array
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
    """Of those."""


@dataclass(frozen=True, eq=False)
class UnseenFrame:
    """One pose, three times (H, W, 3)."""

    bare: UInt8Array
    """Without the look."""
    taught: UInt8Array
    """As the teacher has it."""
    learnt: UInt8Array
    """As the network has it."""


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
        part = np.abs(one.taught.astype(np.int16) - one.bare).max(2) > _SHOWN
        if part.any():
            parts.append(
                (psnr(one.taught, one.learnt, part), structure(one.taught, one.learnt, part)[0])
            )
    return UnseenScores(
        *(float(value) for value in (*np.mean(whole, 0), *np.mean(parts or whole, 0)))
    )
