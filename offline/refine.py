"""Photometric refinement: Gaussians are fitted to the portrait through the differentiable splatter, and held where it says nothing.

The photo alone would turn splats into needles and specks that show as soon as the head turns. So each may only drift, turn and grow
within narrow bounds (smooth reparametrisations, no clamping), and views from the sides must stay what the careful first guess gave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from offline.layers import Layer
from perse_live.arrays import Float32Array, FloatArray
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.rotations import from_euler_degrees, to_quat
from perse_live.splatting.autograd import splat


@dataclass(frozen=True)
class RefineConfig:
    """Bounds and weights; found on the sample portraits at 512 px."""

    iterations: int = 160
    """Steps of Adam; the fit gains under 0.3 dB beyond."""
    drift: float = 0.8
    """Farthest move within the surface, in standard deviations."""
    growth: float = 0.5
    """Largest change of the logarithm of a standard deviation (0.5: up to 1.65 times)."""
    shrink: float = 0.5
    """Share of `growth` allowed downwards: splats that shrink leave gaps that show from the side."""
    side_weight: float = 0.35
    """Weight of a view from the side against the photo."""
    side_views: tuple[tuple[float, float], ...] = ((-28.0, 0.0), (28.0, 0.0), (-14.0, 12.0), (14.0, -12.0))
    """Yaw and pitch in degrees of the views that must not change."""
    threads: int = 2
    """For the splatter."""


def refine(
    layer: Layer,
    camera: Camera,
    image: Float32Array,  # (H, W, 3) foreground colour
    alpha: Float32Array,  # (H, W)
    weight: Float32Array,  # (H, W) importance of each pixel
    center: FloatArray,  # (3,) camera frame; the side views turn about it
    *,
    config: RefineConfig = RefineConfig(),
    progress: Callable[[float], None],
) -> Layer:
    """Fit a layer to the portrait. Returns the layer with new Gaussians; order, triangles and regions stay."""
    start = layer.gaussians
    base = {name: torch.from_numpy(getattr(start, name)) for name in ("means", "quats", "scales", "opacities", "colors")}
    freedom = torch.from_numpy(layer.freedom)[:, None]
    color_freedom = torch.from_numpy(layer.color_freedom)[:, None]
    floor = torch.from_numpy(layer.least_opacity)
    count = len(layer)
    shape = {"shift": (count, 2), "angle": (count, 1), "growth": (count, 2), "opacity": (count,), "color": (count, 3)}
    rates = {"shift": 0.05, "angle": 0.03, "growth": 0.05, "opacity": 0.06, "color": 0.010}
    parameters = {name: torch.zeros(size, requires_grad=True) for name, size in shape.items()}
    optimiser = torch.optim.Adam([{"params": [p], "lr": rates[name]} for name, p in parameters.items()], fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.iterations, eta_min=0.0)
    axes = _frames(base["quats"])
    span = (base["opacities"] - floor).clamp(0.01, 0.98) / (0.99 - floor)
    logit = torch.log(span / (1 - span))

    def current() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        shift = torch.tanh(parameters["shift"]) * config.drift * base["scales"][:, :2] * freedom
        means = base["means"] + (axes[:, :, :2] * shift[:, None]).sum(2)
        half = 0.5 * parameters["angle"] * freedom
        quats = _turn_in_plane(base["quats"], half)
        change = torch.nn.functional.leaky_relu(torch.tanh(parameters["growth"]), config.shrink)
        scales = torch.cat([base["scales"][:, :2] * torch.exp(change * config.growth * freedom),
                            base["scales"][:, 2:]], 1)
        opacities = floor + (0.99 - floor) * torch.sigmoid(logit + parameters["opacity"] * freedom[:, 0])
        colors = (base["colors"] + parameters["color"] * color_freedom).clamp(0.002, 0.998)
        return means, quats, scales, opacities, colors

    target = torch.from_numpy(np.concatenate([image * alpha[..., None], alpha[..., None]], 2).astype(np.float32))
    importance = torch.from_numpy(weight.astype(np.float32))[..., None] / float(weight.sum())
    turns = [_turn_about(center, yaw, pitch) for yaw, pitch in config.side_views]
    black = (0.0, 0.0, 0.0)
    with torch.no_grad():
        sides = [splat(*_moved(current(), *turn), camera, background=black, threads=config.threads).clone() for turn in turns]
    for step in range(config.iterations):
        optimiser.zero_grad(set_to_none=True)
        gaussians = current()
        seen = splat(*gaussians, camera, background=black, threads=config.threads)
        loss = (_robust(seen - target) * importance).sum()
        if step % 3 == 2:
            k = (step // 3) % len(turns)
            view = splat(*_moved(gaussians, *turns[k]), camera, background=black, threads=config.threads)
            loss = loss + 3 * config.side_weight * _robust(view - sides[k]).mean() * 4
        loss = loss + 1e-3 * (parameters["color"] ** 2).mean()
        loss.backward()
        if step == 0:
            _ignore_whispers(optimiser)
        optimiser.step()
        scheduler.step()
        progress((step + 1) / config.iterations)
    with torch.no_grad():
        means, quats, scales, opacities, colors = (value.numpy().astype(np.float32) for value in current())
    return replace(layer, gaussians=Gaussians(means, quats, scales, opacities, colors))


def _ignore_whispers(optimiser: torch.optim.Optimizer) -> None:
    """Set Adam's epsilon from the first gradients: what is hardly seen must not wander as fast as what is."""
    for group in optimiser.param_groups:
        gradient = group["params"][0].grad.abs()
        heard = gradient[gradient > 0]
        group["eps"] = 0.3 * float(heard.mean()) if heard.numel() else 1e-8


def _robust(difference: Tensor) -> Tensor:
    """Charbonnier: like L1, smooth at zero."""
    return torch.sqrt(difference * difference + 1e-4)


def _frames(quats: Tensor) -> Tensor:
    w, x, y, z = quats.unbind(1)
    return torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z), 1 - 2 * (x * x + z * z),
                        2 * (y * z - w * x), 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1).view(-1, 3, 3)


def _turn_in_plane(quats: Tensor, half: Tensor) -> Tensor:
    """Turn about the third axis by twice `half` (N, 1) radians."""
    w, x, y, z = quats.unbind(1)
    turned = torch.stack([-z, y, -x, w], 1)
    return quats * torch.cos(half) + turned * torch.sin(half)


def _turn_about(center: FloatArray, yaw: float, pitch: float) -> tuple[Tensor, Tensor, Tensor]:
    flip = np.diag([1.0, -1.0, -1.0])
    rotation = flip @ from_euler_degrees(yaw, pitch, 0.0) @ flip
    offset = center - rotation @ center
    return tuple(torch.from_numpy(np.asarray(a, np.float32)) for a in (rotation, offset, to_quat(rotation)))  # type: ignore[return-value]


def _moved(gaussians: tuple[Tensor, Tensor, Tensor, Tensor, Tensor], rotation: Tensor, offset: Tensor,
           turn: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    means, quats, scales, opacities, colors = gaussians
    w, x, y, z = quats.unbind(1)
    a, b, c, d = turn
    turned = torch.stack([a * w - b * x - c * y - d * z, a * x + b * w + c * z - d * y, a * y - b * z + c * w + d * x,
                          a * z + b * y - c * x + d * w], 1)
    return means @ rotation.T + offset, turned, scales, opacities, colors
