"""Photometric refinement: Gaussians are fitted to the portrait through the differentiable splatter, and held where it is silent.

The photo alone would turn splats into needles and specks that show as soon as the head turns. So each may only drift, turn and
grow within narrow bounds (smooth reparametrisations, no clamping), and views from the sides must stay what the careful first
guess gave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from offline.gaussian_layer import Layer
from perse_live.arrays import Float32Array, FloatArray
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.rotations import from_euler_degrees, to_quat
from perse_live.splatting.autograd import splat

_Splats = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # means, quats, scales, opacities, colors
_RATES = {"shift": 0.10, "angle": 0.03, "growth": 0.10, "opacity": 0.06, "color": 0.020}  # of learning, by parameter
_COLOR_BESIDE = 0.1  # how much colours count where the person is not


@dataclass(frozen=True)
class RefineConfig:
    """Bounds and weights; found on the sample portraits at 512 px."""

    iterations: int = 240
    """Steps of Adam; from 160 to 500 a portrait with long hair gains 0.4 dB."""
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


def refine_layer(
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
    free = _Reparametrised.of(layer, config)
    optimiser = torch.optim.Adam([{"params": [p], "lr": _RATES[name]} for name, p in free.parameters.items()], fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.iterations, eta_min=0.0)
    target = torch.from_numpy(np.concatenate([image * alpha[..., None], alpha[..., None]], 2).astype(np.float32))
    importance = torch.from_numpy(_importance(weight, alpha))
    turns = [_turn_about(center, yaw, pitch) for yaw, pitch in config.side_views]

    def seen(splats: _Splats) -> Tensor:
        return splat(*splats, camera, background=(0.0, 0.0, 0.0), threads=config.threads)

    with torch.no_grad():
        sides = [seen(_moved(free.splats(), *turn)).clone() for turn in turns]
    for step in range(config.iterations):
        optimiser.zero_grad(set_to_none=True)
        splats = free.splats()
        loss = (_robust(seen(splats) - target) * importance).sum()
        if step % 3 == 2:  # one of the side views, now and then: they change slowly
            k = (step // 3) % len(turns)
            view = seen(_moved(splats, *turns[k]))
            loss = loss + 3 * config.side_weight * _robust(view - sides[k]).mean() * 4
        loss = loss + 1e-3 * (free.parameters["color"] ** 2).mean()
        loss.backward()
        if step == 0:
            _ignore_whispers(optimiser)
        optimiser.step()
        scheduler.step()
        progress((step + 1) / config.iterations)
    with torch.no_grad():
        return replace(layer, gaussians=Gaussians(*(value.numpy().astype(np.float32) for value in free.splats())))


def _importance(weight: Float32Array, alpha: Float32Array) -> Float32Array:
    """(H, W, 4) of each channel: beside the person only alpha counts fully.

    Else what reaches too far would be blackened there, where it should become transparent: a dark rim when the head turns.
    """
    colors = weight * np.clip(alpha, _COLOR_BESIDE, 1)
    return (np.stack([colors, colors, colors, weight], 2) / weight.sum()).astype(np.float32)


@dataclass(frozen=True)
class _Reparametrised:
    """Gaussians as smooth functions of unbounded parameters, which are 0 at the start."""

    start: _Splats
    axes: Tensor  # (G, 3, 3) rotations of the start
    logit: Tensor  # (G,) of the starting opacity between its bounds
    freedom: Tensor  # (G, 1)
    color_freedom: Tensor  # (G, 1)
    least_opacity: Tensor  # (G,)
    config: RefineConfig
    parameters: dict[str, Tensor]  # shift (G, 2), angle (G, 1), growth (G, 2), opacity (G,), color (G, 3)

    @staticmethod
    def of(layer: Layer, config: RefineConfig) -> _Reparametrised:
        count, g = len(layer), layer.gaussians
        shapes = {"shift": (count, 2), "angle": (count, 1), "growth": (count, 2), "opacity": (count,), "color": (count, 3)}
        parameters = {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}
        means, quats, scales, opacities, colors, freedom, color_freedom, least = (
            torch.from_numpy(array) for array in (g.means, g.quats, g.scales, g.opacities, g.colors, layer.freedom,
                                                  layer.color_freedom, layer.least_opacity))
        share = (opacities - least).clamp(0.01, 0.98) / (0.99 - least)
        return _Reparametrised((means, quats, scales, opacities, colors), _frames(quats), torch.log(share / (1 - share)),
                               freedom[:, None], color_freedom[:, None], least, config, parameters)

    def splats(self) -> _Splats:
        means, quats, scales, _, colors = self.start
        config, parameters, least = self.config, self.parameters, self.least_opacity
        shift = torch.tanh(parameters["shift"]) * config.drift * scales[:, :2] * self.freedom
        means = means + (self.axes[:, :, :2] * shift[:, None]).sum(2)
        quats = _turn_in_plane(quats, 0.5 * parameters["angle"] * self.freedom)
        change = torch.nn.functional.leaky_relu(torch.tanh(parameters["growth"]), config.shrink)
        scales = torch.cat([scales[:, :2] * torch.exp(change * config.growth * self.freedom), scales[:, 2:]], 1)
        opacities = least + (0.99 - least) * torch.sigmoid(self.logit + parameters["opacity"] * self.freedom[:, 0])
        colors = (colors + parameters["color"] * self.color_freedom).clamp(0.002, 0.998)
        return means, quats, scales, opacities, colors


def _ignore_whispers(optimiser: torch.optim.Optimizer) -> None:
    """Set Adam's epsilon from the first gradients: what is hardly seen must not wander as fast as what is."""
    for group in optimiser.param_groups:
        gradient = group["params"][0].grad.abs()
        heard = gradient[gradient > 0]
        group["eps"] = 0.3 * float(heard.mean()) if heard.numel() else 1e-8


def _robust(difference: Tensor) -> Tensor:
    """Charbonnier: like L1, but squared below 0.06, where what is left is grain."""
    return torch.sqrt(difference * difference + 4e-3)


def _frames(quats: Tensor) -> Tensor:
    """Rotation matrices (G, 3, 3) of unit quaternions (G, 4)."""
    w, x, y, z = quats.unbind(1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, 1).view(-1, 3, 3)


def _turn_in_plane(quats: Tensor, half: Tensor) -> Tensor:
    """Turn about the third axis by twice `half` (G, 1) radians."""
    w, x, y, z = quats.unbind(1)
    return quats * torch.cos(half) + torch.stack([-z, y, -x, w], 1) * torch.sin(half)


def _turn_about(center: FloatArray, yaw: float, pitch: float) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation (3, 3), offset (3,) and the rotation as a quaternion (4,): a turn by degrees about a point of the camera frame."""
    flip = np.diag([1.0, -1.0, -1.0])
    rotation = flip @ from_euler_degrees(yaw, pitch, 0.0) @ flip
    parts = (rotation, center - rotation @ center, to_quat(rotation))
    turn, offset, quat = (torch.from_numpy(part.astype(np.float32)) for part in parts)
    return turn, offset, quat


def _moved(splats: _Splats, rotation: Tensor, offset: Tensor, turn: Tensor) -> _Splats:
    """Gaussians under a rigid motion as from `_turn_about`."""
    means, quats, scales, opacities, colors = splats
    w, x, y, z = quats.unbind(1)
    a, b, c, d = turn
    product = [a * w - b * x - c * y - d * z, a * x + b * w + c * z - d * y,
               a * y - b * z + c * w + d * x, a * z + b * y - c * x + d * w]
    return means @ rotation.T + offset, torch.stack(product, 1), scales, opacities, colors
