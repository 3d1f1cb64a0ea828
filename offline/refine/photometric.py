"""Photometric refinement: Gaussians are fitted to the portrait through the differentiable splatter, and regularised elsewhere.

The photo alone would turn splats into needles and specks that show as soon as the head turns. So each may only shift, rotate and
grow within narrow bounds (smooth reparametrisations, no clamping), and side views are regularised towards those of the initial
Gaussians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from offline.gaussian_layer import Layer
from offline.refine import kernels
from offline.refine.kernels import (
    ANGLE,
    COLOR,
    FIRST_DECAY,
    GROWTH,
    KEPT,
    MOST_OPAQUE,
    OPACITY,
    PARAMETERS,
    SECOND_DECAY,
    SHIFT,
)
from perse_live.arrays import Float32Array, FloatArray
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.rotations import FACING_CAMERA, from_euler_degrees, to_matrix, to_quat
from perse_live.splatting.gradients import SplatGradients
from perse_live.team import team_of

# Learning rates, by parameter
_RATES = np.array([0.10, 0.10, 0.03, 0.10, 0.10, 0.06, 0.02, 0.02, 0.02], np.float32)
_GROUPS = (
    slice(SHIFT, ANGLE),
    slice(ANGLE, GROWTH),
    slice(GROWTH, OPACITY),
    slice(OPACITY, COLOR),
    slice(COLOR, PARAMETERS),
)
_CHARBONNIER = 4e-3  # like L1, but quadratic below an error of 0.06, which is grain
_SIDE_EVERY = 3  # steps between two views from the side: they change slowly
_EPSILON_SHARE = 0.3  # of the mean gradient at the start: Adam's epsilon


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
    """Fraction of `growth` allowed downwards: splats that shrink leave gaps in side views."""
    side_weight: float = 0.35
    """Weight of a side view, relative to the photo."""
    side_views: tuple[tuple[float, float], ...] = (
        (-28.0, 0.0),
        (28.0, 0.0),
        (-14.0, 12.0),
        (14.0, -12.0),
    )
    """Yaw and pitch in degrees of the views that must not change."""
    coupling: float = 3.0
    """Weight of `prior`'s form; at 50 the face of a portrait (s42) loses 2 dB in the photo's view, at 3 nothing."""
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
    prior: sp.csr_matrix | None = None,
    config: RefineConfig = RefineConfig(),
    progress: Callable[[float], None],
) -> Layer:
    """Fit a layer to the portrait. Returns the layer with new Gaussians; order, triangles and regions stay.

    prior: (G, G) symmetric, positive semidefinite: its quadratic form of the colours' changes is part of the loss, which
    couples neighbours. None: no coupling.
    """
    target = np.concatenate([image * alpha[..., None], alpha[..., None]], 2).astype(np.float32)
    importance = _importance(weight, alpha)
    side_importance = np.full_like(target, _SIDE_EVERY * config.side_weight / alpha.size)
    turns = [_turn_about(center, yaw, pitch) for yaw, pitch in config.side_views]
    moving, view = _Moving(layer, config), SplatGradients(camera, threads=config.threads)
    optimiser = _Adam(len(layer), config)
    moving.place(optimiser.parameters)
    sides = [view.draw(moving.turned(turn)).copy() for turn in turns]
    for step in range(config.iterations):
        moving.place(optimiser.parameters)
        by_splats = view.gradients(moving.charbonnier(view.draw(moving.splats), target, importance))
        if step % _SIDE_EVERY == _SIDE_EVERY - 1:
            k = (step // _SIDE_EVERY) % len(turns)
            side = moving.turned(turns[k])
            by_side = view.gradients(moving.charbonnier(view.draw(side), sides[k], side_importance))
            by_splats = moving.with_turned_back(by_splats, by_side, turns[k])
        moving.pull_back(optimiser.parameters, by_splats, optimiser.gradient)
        if prior is not None:
            changes = layer.color_freedom[:, None] * optimiser.parameters[:, COLOR:]
            optimiser.gradient[:, COLOR:] += (
                2 * config.coupling * layer.color_freedom[:, None] * (prior @ changes)
            )
        optimiser.step()
        progress((step + 1) / config.iterations)
    moving.place(optimiser.parameters)
    return replace(layer, gaussians=moving.splats)


def _importance(weight: Float32Array, alpha: Float32Array) -> Float32Array:
    """(H, W, 4) weight of each channel: outside of the person only alpha has full weight.

    Else Gaussians that reach too far would become black instead of transparent there: a dark edge when the head turns.
    """
    colors = weight * alpha
    return (np.stack([colors, colors, colors, weight], 2) / weight.sum()).astype(np.float32)


class _Turn(NamedTuple):
    """A rigid motion of the camera frame."""

    rotation: Float32Array  # (3, 3)
    offset: Float32Array  # (3,) metres
    quat: Float32Array  # (4,) the rotation


def _turn_about(center: FloatArray, yaw: float, pitch: float) -> _Turn:
    """A turn by degrees about a point (3,) of the camera frame."""
    rotation = FACING_CAMERA @ from_euler_degrees(yaw, pitch, 0.0) @ FACING_CAMERA
    parts = (rotation, center - rotation @ center, to_quat(rotation))
    return _Turn(*(part.astype(np.float32) for part in parts))


class _Moving:
    """Gaussians as smooth functions of unbounded parameters (G, 9), with buffers for them and for gradients."""

    def __init__(self, layer: Layer, config: RefineConfig) -> None:
        g, count = layer.gaussians, len(layer)
        self._start = tuple(
            np.ascontiguousarray(array, np.float32)
            for array in (g.means, g.quats, g.scales, g.colors)
        )
        self._axes = np.ascontiguousarray(
            to_matrix(g.quats.astype(np.float64)).transpose(0, 2, 1)[:, :2], np.float32
        )
        least = layer.least_opacity
        share = np.clip(g.opacities - least, 0.01, 0.98) / (MOST_OPAQUE - least)
        self._logits = np.log(share / (1 - share)).astype(np.float32)
        self._free = (layer.freedom, layer.color_freedom, least)
        self._bounds = (config.drift, config.growth, config.shrink)
        self._kept = np.empty((count, KEPT), np.float32)
        self._team, self._count = team_of(config.threads), count
        self._gradient_image = np.empty(0, np.float32)
        self.splats = Gaussians(
            *(np.empty_like(array) for array in (g.means, g.quats, g.scales, g.opacities, g.colors))
        )
        self._turned = replace(
            self.splats, means=np.empty_like(g.means), quats=np.empty_like(g.quats)
        )

    def _split(self, run: Callable[..., None], *arguments: Any) -> None:
        """Run a kernel on all Gaussians, some in each thread."""
        self._team.split(self._count, lambda begin, end: run(begin, end, *arguments))

    def place(self, parameters: Float32Array) -> None:
        """Bring `splats` to where the parameters have them."""
        s, start = self.splats, (*self._start, self._axes, self._logits)
        out = (s.means, s.quats, s.scales, s.opacities, s.colors)
        self._split(kernels.place, *start, *self._free, *self._bounds, parameters, self._kept, *out)

    def turned(self, turn: _Turn) -> Gaussians:
        """The Gaussians under a rigid motion; valid until the next call."""
        s, out = self.splats, self._turned
        self._split(kernels.turn, *turn, s.means, s.quats, out.means, out.quats)
        return out

    def charbonnier(
        self, image: Float32Array, target: Float32Array, weight: Float32Array
    ) -> Float32Array:
        """Gradient of the loss by the picture (H, W, 4); valid until the next call."""
        if self._gradient_image.shape != image.shape:
            self._gradient_image = np.empty_like(image)
        flat, aim, weights, out = (
            one.reshape(-1) for one in (image, target, weight, self._gradient_image)
        )
        self._team.split(
            len(flat),
            lambda begin, end: kernels.charbonnier_gradient(
                begin, end, flat, aim, weights, _CHARBONNIER, out
            ),
        )
        return self._gradient_image

    def with_turned_back(
        self, by_splats: Gaussians, by_turned: Gaussians, turn: _Turn
    ) -> Gaussians:
        """Gradients by the Gaussians, and by the turned ones, as one: by the Gaussians."""
        by, other = by_splats, by_turned
        self._split(kernels.add_turned_back, *turn, other.means, other.quats, by.means, by.quats)
        for name in ("scales", "opacities", "colors"):
            np.add(getattr(by, name), getattr(other, name), out=getattr(by, name))
        return by

    def pull_back(
        self, parameters: Float32Array, by_splats: Gaussians, gradient: Float32Array
    ) -> None:
        """Add to the gradient by the parameters what that by the Gaussians amounts to."""
        start, by = (*self._start[1:], self._axes), by_splats
        slopes = (by.means, by.quats, by.scales, by.opacities, by.colors)
        bounds = (*self._free, *self._bounds)
        placed = (parameters, self._kept, self.splats.scales)
        self._split(kernels.pull_back, *start, *bounds, *placed, *slopes, gradient)


class _Adam:
    """Adam with learning rates that fall along a cosine, and an epsilon of the size of the first gradients.

    With the usual tiny epsilon, Gaussians that are hardly seen would move as fast as those that are.
    """

    def __init__(self, count: int, config: RefineConfig) -> None:
        self.parameters, self.gradient, self._first, self._second = (
            np.zeros((count, PARAMETERS), np.float32) for _ in range(4)
        )
        self.epsilons = np.empty(PARAMETERS, np.float32)
        self._steps, self._done = config.iterations, 0
        self._team = team_of(config.threads)

    def step(self) -> None:
        """Move the parameters against the gradient, which becomes 0."""
        if self._done == 0:
            for group in _GROUPS:
                size = np.abs(self.gradient[:, group])
                self.epsilons[group] = (
                    _EPSILON_SHARE * float(size[size > 0].mean()) if size.any() else 1e-8
                )
        rates = (_RATES * 0.5 * (1 + np.cos(np.pi * self._done / self._steps))).astype(np.float32)
        self._done += 1
        state = (self.parameters, self.gradient, self._first, self._second, rates, self.epsilons)
        corrections = (1 - FIRST_DECAY**self._done, 1 - SECOND_DECAY**self._done)
        self._team.split(
            len(self.parameters),
            lambda begin, end: kernels.adam_step(begin, end, *state, *corrections),
        )
