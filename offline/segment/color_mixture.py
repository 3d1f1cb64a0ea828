"""Mixtures of Gaussians that describe the colours of a part of the picture, and how fine its lines are."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline.priors import ENOUGH
from perse_live.arrays import Float32Array, FloatArray

_NOISE = (14.0, 5.0, 5.0, 3.0)  # variances added to those of L, a, b and the fourth feature


@dataclass(frozen=True)
class ColorMixture:
    """Weighted Gaussians of D features: CIELAB, or that and one more in its units."""

    log_weights: FloatArray  # (K,)
    means: FloatArray  # (K, D)
    precisions: FloatArray  # (K, D, D)
    log_determinants: FloatArray  # (K,) of the covariances


def color_mixture(colors: Float32Array, components: int) -> ColorMixture | None:
    """Gaussians around k-means clusters of colours (N, D) in Lab; None if there are too few to learn from."""
    if len(colors) < ENOUGH:
        return None
    if len(colors) > 4000:
        colors = colors[np.random.default_rng(0).choice(len(colors), 4000, replace=False)]
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, labels, _ = cv2.kmeans(
        colors.astype(np.float32), components, np.empty(0, np.int32), stop, 2, cv2.KMEANS_PP_CENTERS
    )
    groups = [colors[labels[:, 0] == k] for k in range(components)]
    groups = [g for g in groups if len(g) >= 20]
    covariances = [np.cov(g.T) + np.diag(_NOISE[: g.shape[1]]) for g in groups]
    return ColorMixture(
        np.log([len(g) / len(colors) for g in groups]),
        np.stack([g.mean(0) for g in groups]),
        np.linalg.inv(covariances),
        np.linalg.slogdet(covariances)[1],
    )


def log_likelihood(mixture: ColorMixture | None, lab: Float32Array) -> FloatArray:
    """Log likelihood (...,) of colours (..., D); -25 means "no match", as everywhere without a mixture."""
    if mixture is None:
        return np.full(lab.shape[:-1], -25.0)
    parts: list[FloatArray] = []
    for k, mean in enumerate(mixture.means):
        offset = lab - mean
        distance = np.einsum("...i,ij,...j", offset, mixture.precisions[k], offset)
        parts.append(mixture.log_weights[k] - 0.5 * (distance + mixture.log_determinants[k]))
    # About the log volume of one component, so that the floor of -25 means "no match"
    return np.logaddexp.reduce(parts, 0) + 6.0
