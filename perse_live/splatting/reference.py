"""The slow, plain reference of the kernels: float64 torch, one Gaussian after another over the whole picture."""

from __future__ import annotations

import torch

from perse_live.camera import Camera
from perse_live.splatting._layout import (
    ALPHA_MAX,
    ALPHA_MIN,
    EPS2D,
    FOV_MARGIN,
    NEAR_PLANE,
    TRANSMITTANCE_MIN,
)


def _rotation_matrices(quats: torch.Tensor) -> torch.Tensor:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(-1, 3, 3)


def rasterize_reference(
    means: torch.Tensor,
    quats: torch.Tensor,
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    camera: Camera,
    background: tuple[float, float, float],
) -> torch.Tensor:
    """Draw Gaussians with gsplat's rules (`rasterize_mode="classic"`, identity view matrix), differentiably.

    means: (G, 3) metres, camera frame; quats: (G, 4) wxyz; scales: (G, 3) metres; opacities: (G,); colors: (G, 3);
    background: sRGB. Computed in float64 whatever comes in. Returns (H, W, 4) colour over the background, alpha.
    Projection: Zwicker et al. 2001; blending: Kerbl et al. 2023, section 6.
    """
    means, quats, scales, opacities, colors = (
        v.to(torch.float64) for v in (means, quats, scales, opacities, colors)
    )
    kept = torch.nonzero(means[:, 2] >= NEAR_PLANE)[:, 0]
    kept = kept[torch.argsort(means[kept, 2], stable=True)]
    means, quats, scales, opacities, colors = (
        v[kept] for v in (means, quats, scales, opacities, colors)
    )
    width, height, fx, fy, cx, cy = (
        camera.width,
        camera.height,
        camera.fx,
        camera.fy,
        camera.cx,
        camera.cy,
    )

    axes = _rotation_matrices(quats) * scales[:, None, :]
    covariances = axes @ axes.transpose(1, 2)
    x, y, z = means.unbind(-1)
    margin_x, margin_y = FOV_MARGIN * 0.5 * width / fx, FOV_MARGIN * 0.5 * height / fy
    u = (x / z).clamp(-cx / fx - margin_x, (width - cx) / fx + margin_x)
    v = (y / z).clamp(-cy / fy - margin_y, (height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    jacobians = torch.stack([fx / z, zero, -fx * u / z, zero, fy / z, -fy * v / z], -1).reshape(
        -1, 2, 3
    )
    projected = jacobians @ covariances @ jacobians.transpose(1, 2) + EPS2D * torch.eye(
        2, dtype=torch.float64
    )
    conics = torch.linalg.inv(projected)
    centres = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)

    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) + 0.5,
        torch.arange(width, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    transmittance = torch.ones(height, width, dtype=torch.float64)
    image = torch.zeros(height, width, 3, dtype=torch.float64)
    finished = torch.zeros(height, width, dtype=torch.bool)
    for g in range(len(kept)):
        dx, dy = columns - centres[g, 0], rows - centres[g, 1]
        exponent = (
            0.5 * (conics[g, 0, 0] * dx * dx + conics[g, 1, 1] * dy * dy)
            + conics[g, 0, 1] * dx * dy
        )
        alpha = (opacities[g] * torch.exp(-exponent)).clamp(max=ALPHA_MAX)
        alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0)
        finished = finished | (transmittance * (1 - alpha) <= TRANSMITTANCE_MIN)
        weight = torch.where(finished, 0, alpha * transmittance)
        image = image + weight[..., None] * colors[g]
        transmittance = transmittance - weight
    image = image + transmittance[..., None] * torch.tensor(background, dtype=torch.float64)
    return torch.cat([image, (1 - transmittance)[..., None]], -1)
