"""The inner loops of refinement: parameters to Gaussians, gradients back again, the image loss, Adam.

`tests/offline/refine/reference_loss.py` is the same with torch's autograd; tests compare the two.
"""

from __future__ import annotations

import numpy as np

from offline.gaussian_layer import COLOR_RANGE
from perse_live.arrays import Float32Array
from perse_live.jit import kernel

SHIFT, ANGLE, GROWTH, OPACITY, COLOR = 0, 2, 3, 5, 6
"""Columns of the parameters (G, 9): two of shift, one of angle, two of growth, one of opacity, three of colour."""
PARAMETERS = 9
KEPT = 7
"""Columns kept from `place` for `pull_back`: tanh of shift and of growth, the opacity's sigmoid, sine and cosine of the turn."""
_DARKEST, _BRIGHTEST = COLOR_RANGE
MOST_OPAQUE = 0.99
"""Greatest opacity."""
FIRST_DECAY, SECOND_DECAY = 0.9, 0.999
"""Of Adam's moments: the usual ones (Kingma and Ba 2015)."""


@kernel
def place(
    begin: int,
    end: int,
    means: Float32Array,
    quats: Float32Array,
    scales: Float32Array,
    colors: Float32Array,
    axes: Float32Array,
    logits: Float32Array,
    freedom: Float32Array,
    color_freedom: Float32Array,
    least_opacity: Float32Array,
    drift: float,
    growth: float,
    shrink: float,
    parameters: Float32Array,
    kept: Float32Array,
    out_means: Float32Array,
    out_quats: Float32Array,
    out_scales: Float32Array,
    out_opacities: Float32Array,
    out_colors: Float32Array,
) -> None:
    """Gaussians begin .. end of the start values and the parameters (G, 9); the last six arrays are written.

    axes: (G, 2, 3) the first two axes of each Gaussian at the start; logits: (G,) of the opacity between its bounds.
    """
    for g in range(begin, end):
        free = freedom[g]
        first, second = np.tanh(parameters[g, SHIFT]), np.tanh(parameters[g, SHIFT + 1])
        kept[g, 0], kept[g, 1] = first, second
        a, b = first * drift * scales[g, 0] * free, second * drift * scales[g, 1] * free
        for k in range(3):
            out_means[g, k] = means[g, k] + axes[g, 0, k] * a + axes[g, 1, k] * b
        half = 0.5 * parameters[g, ANGLE] * free
        sine, cosine = np.sin(half), np.cos(half)
        kept[g, 5], kept[g, 6] = sine, cosine
        w, x, y, z = quats[g, 0], quats[g, 1], quats[g, 2], quats[g, 3]
        out_quats[g, 0] = w * cosine - z * sine
        out_quats[g, 1] = x * cosine + y * sine
        out_quats[g, 2] = y * cosine - x * sine
        out_quats[g, 3] = z * cosine + w * sine
        for k in range(2):
            wide = np.tanh(parameters[g, GROWTH + k])
            kept[g, 2 + k] = wide
            change = wide if wide > 0 else shrink * wide
            out_scales[g, k] = scales[g, k] * np.exp(change * growth * free)
        out_scales[g, 2] = scales[g, 2]
        share = 1 / (1 + np.exp(-(logits[g] + parameters[g, OPACITY] * free)))
        kept[g, 4] = share
        out_opacities[g] = least_opacity[g] + (MOST_OPAQUE - least_opacity[g]) * share
        for k in range(3):
            value = colors[g, k] + parameters[g, COLOR + k] * color_freedom[g]
            out_colors[g, k] = min(max(value, _DARKEST), _BRIGHTEST)


@kernel
def pull_back(
    begin: int,
    end: int,
    quats: Float32Array,
    scales: Float32Array,
    colors: Float32Array,
    axes: Float32Array,
    freedom: Float32Array,
    color_freedom: Float32Array,
    least_opacity: Float32Array,
    drift: float,
    growth: float,
    shrink: float,
    parameters: Float32Array,
    kept: Float32Array,
    placed_scales: Float32Array,
    by_means: Float32Array,
    by_quats: Float32Array,
    by_scales: Float32Array,
    by_opacities: Float32Array,
    by_colors: Float32Array,
    gradient: Float32Array,
) -> None:
    """Add the gradient by the parameters (G, 9) to that by the Gaussians that `place` made of them."""
    for g in range(begin, end):
        free = freedom[g]
        for k in range(2):
            along = (
                axes[g, k, 0] * by_means[g, 0]
                + axes[g, k, 1] * by_means[g, 1]
                + axes[g, k, 2] * by_means[g, 2]
            )
            gradient[g, SHIFT + k] += (
                along * drift * scales[g, k] * free * (1 - kept[g, k] * kept[g, k])
            )
            wide = kept[g, 2 + k]
            slope = 1.0 if wide > 0 else shrink
            gradient[g, GROWTH + k] += (
                by_scales[g, k] * placed_scales[g, k] * growth * free * slope * (1 - wide * wide)
            )
        sine, cosine = kept[g, 5], kept[g, 6]
        w, x, y, z = quats[g, 0], quats[g, 1], quats[g, 2], quats[g, 3]
        turned = (
            by_quats[g, 0] * (-w * sine - z * cosine)
            + by_quats[g, 1] * (-x * sine + y * cosine)
            + by_quats[g, 2] * (-y * sine - x * cosine)
            + by_quats[g, 3] * (-z * sine + w * cosine)
        )
        gradient[g, ANGLE] += 0.5 * free * turned
        share = kept[g, 4]
        gradient[g, OPACITY] += (
            by_opacities[g] * (MOST_OPAQUE - least_opacity[g]) * share * (1 - share) * free
        )
        for k in range(3):
            value = colors[g, k] + parameters[g, COLOR + k] * color_freedom[g]
            if _DARKEST <= value <= _BRIGHTEST:
                gradient[g, COLOR + k] += by_colors[g, k] * color_freedom[g]


@kernel
def turn(
    begin: int,
    end: int,
    rotation: Float32Array,
    offset: Float32Array,
    quat: Float32Array,
    means: Float32Array,
    quats: Float32Array,
    out_means: Float32Array,
    out_quats: Float32Array,
) -> None:
    """Gaussians begin .. end under a rigid motion: rotation (3, 3), offset (3,), and the rotation as a quaternion (4,)."""
    a, b, c, d = quat[0], quat[1], quat[2], quat[3]
    for g in range(begin, end):
        for k in range(3):
            out_means[g, k] = (
                rotation[k, 0] * means[g, 0]
                + rotation[k, 1] * means[g, 1]
                + rotation[k, 2] * means[g, 2]
                + offset[k]
            )
        w, x, y, z = quats[g, 0], quats[g, 1], quats[g, 2], quats[g, 3]
        out_quats[g, 0] = a * w - b * x - c * y - d * z
        out_quats[g, 1] = a * x + b * w + c * z - d * y
        out_quats[g, 2] = a * y - b * z + c * w + d * x
        out_quats[g, 3] = a * z + b * y - c * x + d * w


@kernel
def add_turned_back(
    begin: int,
    end: int,
    rotation: Float32Array,
    _offset: Float32Array,
    quat: Float32Array,
    by_turned_means: Float32Array,
    by_turned_quats: Float32Array,
    by_means: Float32Array,
    by_quats: Float32Array,
) -> None:
    """Add gradients by what `turn` wrote to gradients by what it read."""
    a, b, c, d = quat[0], quat[1], quat[2], quat[3]
    for g in range(begin, end):
        for k in range(3):
            by_means[g, k] += (
                rotation[0, k] * by_turned_means[g, 0]
                + rotation[1, k] * by_turned_means[g, 1]
                + rotation[2, k] * by_turned_means[g, 2]
            )
        p, q, r, s = by_turned_quats[g]
        by_quats[g, 0] += a * p + b * q + c * r + d * s
        by_quats[g, 1] += -b * p + a * q + d * r - c * s
        by_quats[g, 2] += -c * p - d * q + a * r + b * s
        by_quats[g, 3] += -d * p + c * q - b * r + a * s


@kernel
def charbonnier_gradient(
    begin: int,
    end: int,
    image: Float32Array,
    target: Float32Array,
    weight: Float32Array,
    epsilon: float,
    out: Float32Array,
) -> None:
    """Gradient of the sum of weight * sqrt((image - target)^2 + epsilon) by the image; flat arrays, written from begin to end.

    In double precision: the root's approximation in single precision depends on where vectors of elements begin, so that two
    builds would differ.
    """
    for k in range(begin, end):
        difference = image[k] - target[k]
        out[k] = weight[k] * difference / np.sqrt(difference * difference + epsilon)


@kernel
def adam_step(
    begin: int,
    end: int,
    parameters: Float32Array,
    gradient: Float32Array,
    first: Float32Array,
    second: Float32Array,
    rates: Float32Array,
    epsilons: Float32Array,
    correction_first: float,
    correction_second: float,
) -> None:
    """One step of Adam, in place; the gradient becomes 0.

    parameters, gradient, first, second: (G, 9); rates, epsilons: (9,); corrections: 1 - decay ** step.
    """
    root = np.sqrt(correction_second)
    for g in range(begin, end):
        for k in range(PARAMETERS):
            slope = gradient[g, k]
            first[g, k] = slope + FIRST_DECAY * (first[g, k] - slope)
            second[g, k] = slope * slope + SECOND_DECAY * (second[g, k] - slope * slope)
            parameters[g, k] -= (
                rates[k]
                / correction_first
                * first[g, k]
                / (np.sqrt(second[g, k]) / root + epsilons[k])
            )
            gradient[g, k] = 0.0
