"""Metrics of a fade-in of an attribute: locality, evenness and sharpness.

All are measured on pictures of the avatar at increasing weights, which the caller renders.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from perse_live.avatar import Avatar
from perse_live.evaluation.image_metrics import psnr

STEPS = 20
"""Of a fade from weight 0 to 1."""

# Changes (sRGB, -, metres) from which a Gaussian belongs to an attribute
_COLOR, _OPACITY, _PLACE = (0.02, 0.02, 2e-4)
_SHOWN = 4  # of 255: how much of an attribute's Gaussians a pixel must show to belong to its part
_MARGIN = 4  # pixels around the part that belong to it
_OCTAVES = 3  # sizes at which pictures are compared


@dataclass(frozen=True)
class FadeScores:
    """Metrics of a fade in one view."""

    outside_psnr: float
    """dB between weight 0 and 1 outside the part, at most 60."""
    part_share: float
    """Of the picture that is the part, [0, 1]."""
    step_ratio: float
    """Largest step over the mean one, of the mean absolute change of the picture; 1 is perfectly even."""
    sharpness: float
    """Of the in-betweens, over that of both ends mixed by weight; 1: as sharp as the ends."""
    crossfade_sharpness: float
    """The same of a plain cross-fade of the two end pictures."""
    pdv: float
    """Variance of the distances between neighbouring pictures, times 100, distances as shares of their sum times `STEPS`."""
    path_length: float
    """Mean of (distance / step of the weight) squared: PPL's form with another distance."""
    detour: float
    """Sum of the distances over the distance of the ends: 1 is the straight way."""


def fade_scores(
    pictures: Sequence[UInt8Array],
    part: BoolArray,
    apart: Callable[[UInt8Array, UInt8Array], float] | None = None,
) -> FadeScores:
    """Measure a fade.

    pictures: `STEPS` + 1 of (H, W, 3) RGB, at even weights from 0 to 1; part: (H, W) as from `part_of`; apart: distance of two
    pictures, such as LPIPS; None: `distance`. Raises ValueError for another number of pictures.
    """
    if len(pictures) != STEPS + 1:
        raise ValueError(f"{len(pictures)} pictures of a fade; pass {STEPS + 1}")
    steps = np.array(
        [np.abs(b.astype(np.float32) - a).mean() for a, b in itertools.pairwise(pictures)]
    )
    apart = apart or distance
    distances = np.array([apart(a, b) for a, b in itertools.pairwise(pictures)])
    direct, total = apart(pictures[0], pictures[-1]), float(distances.sum())
    sharpness, mixed = _in_between_sharpness(pictures, part)
    return FadeScores(
        psnr(pictures[0], pictures[-1], ~part),
        float(part.mean()),
        _over(float(steps.max()), float(steps.mean())),
        sharpness,
        mixed,
        100 * float(np.var(distances * STEPS / total)) if total > 0 else 0.0,
        float(np.mean((distances * STEPS) ** 2)),
        _over(total, direct),
    )


def distance(a: UInt8Array, b: UInt8Array) -> float:
    """Distance of two pictures: mean absolute difference of colours and of gradients at three sizes, in [0, 1].

    Used in place of LPIPS, whose weights are not shipped; values are only comparable with each other.
    """
    first, second = a.astype(np.float32) / 255, b.astype(np.float32) / 255
    total = 0.0
    for octave in range(_OCTAVES):
        if octave:
            first, second = (_half(picture) for picture in (first, second))
        total += float(np.abs(first - second).mean())
        for axis in (0, 1):
            total += float(np.abs(np.diff(first, axis=axis) - np.diff(second, axis=axis)).mean())
    return total / _OCTAVES


def belonging(avatar: Avatar, blended: Avatar) -> BoolArray:
    """Which of the blended avatar's Gaussians an attribute has added, moved or recoloured, (G',).

    avatar: without attributes; blended: the same, as `perse_live.attribute_blending.with_attributes` makes it.
    """
    on, free = len(avatar.surface.triangles), len(avatar.rigid.means)
    surface_rows, rigid_rows = np.arange(on), len(blended.surface.triangles) + np.arange(free)
    base = np.concatenate([surface_rows, rigid_rows])
    result = np.ones(len(blended), np.bool_)
    changed = (np.abs(blended.colors[base] - avatar.colors).max(1) > _COLOR) | (
        np.abs(blended.opacities[base] - avatar.opacities) > _OPACITY
    )
    bent = np.linalg.norm(blended.rig.vertices - avatar.rig.vertices, axis=1) > _PLACE
    changed[:on] |= bent[avatar.rig.triangles[avatar.surface.triangles]].any(1)
    changed[:on] |= np.abs(blended.surface.positions[:on] - avatar.surface.positions)[:, 2] > _PLACE
    changed[on:] |= np.linalg.norm(blended.rigid.means[:free] - avatar.rigid.means, axis=1) > _PLACE
    result[base] = changed
    return result


def part_of(marked: Sequence[UInt8Array]) -> BoolArray:
    """(H, W) the part of the picture that an attribute may change.

    marked: pictures (H, W, 3) of the avatar without and with the attribute, what belongs to it white and all else black.
    """
    shown = np.max([picture.max(2) for picture in marked], 0) > _SHOWN
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _MARGIN + 1, 2 * _MARGIN + 1))
    return np.asarray(cv2.dilate(shown.astype(np.uint8), kernel) > 0)


def _in_between_sharpness(pictures: Sequence[UInt8Array], part: BoolArray) -> tuple[float, float]:
    """Sharpness of the in-betweens, and of a cross-fade's, over that of the ends mixed by weight; means of three weights."""
    first, last = pictures[0].astype(np.float32), pictures[-1].astype(np.float32)
    ends = _sharpness(first, part), _sharpness(last, part)
    in_between, mixed = [], []
    for k in (STEPS // 4, STEPS // 2, 3 * STEPS // 4):
        share = k / STEPS
        wanted = (1 - share) * ends[0] + share * ends[1]
        in_between.append(_over(_sharpness(pictures[k].astype(np.float32), part), wanted))
        crossfaded = (first + np.float32(share) * (last - first)).astype(np.float32)
        mixed.append(_over(_sharpness(crossfaded, part), wanted))
    return float(np.mean(in_between)), float(np.mean(mixed))


def _sharpness(picture: Float32Array, part: BoolArray) -> float:
    """Standard deviation of the luma's Laplacian in the part."""
    laplacian = cv2.Laplacian(picture @ np.array([0.299, 0.587, 0.114], np.float32), cv2.CV_32F)
    return float(laplacian[part].std()) if part.any() else 0.0


def _half(picture: FloatArray) -> FloatArray:
    return np.asarray(
        cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32
    )


def _over(value: float, base: float) -> float:
    return value / base if base > 1e-9 else 1.0
