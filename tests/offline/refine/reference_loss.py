"""Reference implementation of refinement's loss in torch: slow and obvious. The kernels are tested against it."""

from __future__ import annotations

import torch
from torch import Tensor

from offline.gaussian_layer import Layer
from perse_live.arrays import FloatArray
from perse_live.rotations import to_matrix

Splats = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""means (G, 3), quats (G, 4), scales (G, 3), opacities (G,), colors (G, 3)."""


def placed_splats(
    layer: Layer, parameters: Tensor, drift: float, growth: float, shrink: float
) -> Splats:
    """Gaussians as smooth functions of unbounded parameters (G, 9), which are 0 at the start; differentiable.

    Columns: shift within the surface (2), angle about the normal, growth (2), opacity, colour (3).
    """
    g = layer.gaussians
    means, quats, scales, opacities, colors, freedom, color_freedom, least = (
        torch.from_numpy(array)
        for array in (
            g.means,
            g.quats,
            g.scales,
            g.opacities,
            g.colors,
            layer.freedom,
            layer.color_freedom,
            layer.least_opacity,
        )
    )
    axes = torch.from_numpy(to_matrix(g.quats.astype("float64")).astype("float32"))
    share = (opacities - least).clamp(0.01, 0.98) / (0.99 - least)
    logits = torch.log(share / (1 - share))
    shift, angle, grown, opacity, color = parameters.split((2, 1, 2, 1, 3), 1)
    moved = torch.tanh(shift) * drift * scales[:, :2] * freedom[:, None]
    means = means + (axes[:, :, :2] * moved[:, None]).sum(2)
    half = 0.5 * angle * freedom[:, None]
    w, x, y, z = quats.unbind(1)
    quats = quats * torch.cos(half) + torch.stack([-z, y, -x, w], 1) * torch.sin(half)
    change = torch.nn.functional.leaky_relu(torch.tanh(grown), shrink)
    scales = torch.cat(
        [scales[:, :2] * torch.exp(change * growth * freedom[:, None]), scales[:, 2:]], 1
    )
    opacities = least + (0.99 - least) * torch.sigmoid(logits + opacity[:, 0] * freedom)
    colors = (colors + color * color_freedom[:, None]).clamp(0.002, 0.998)
    return means, quats, scales, opacities, colors


def turned_splats(
    splats: Splats, rotation: FloatArray, offset: FloatArray, quat: FloatArray
) -> Splats:
    """Gaussians under a rigid motion: rotation (3, 3), offset (3,), and the rotation as a quaternion (4,)."""
    means, quats, scales, opacities, colors = splats
    w, x, y, z = quats.unbind(1)
    a, b, c, d = (float(value) for value in quat)
    product = [
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    ]
    moved = means @ torch.from_numpy(rotation).float().T + torch.from_numpy(offset).float()
    return moved, torch.stack(product, 1), scales, opacities, colors


def charbonnier(difference: Tensor, epsilon: float) -> Tensor:
    """Like L1, but squared near 0 (Charbonnier et al. 1994)."""
    return torch.sqrt(difference * difference + epsilon)
