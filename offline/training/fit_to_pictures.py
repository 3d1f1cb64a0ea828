"""Fit the Gaussians of a look to pictures, for looks that editors do not know in 3D; the result is then learnt like any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from offline.training.contract import TrainingFrame
from offline.training.gaussian_rows import Rows, rows_of
from offline.training.rasterizers import Drawing
from offline.training.shots import Shot, shots_of, turned
from perse_live.arrays import Float32Array
from perse_live.attributes import AddedGaussians, Attribute
from perse_live.avatar import Avatar
from perse_live.decoder.features import into_binding
from perse_live.decoder.network import COLOR, OPACITY, OUTPUTS, PLACE, PLACE_UNIT, SIZE


@dataclass(frozen=True)
class LiftConfig:
    """Steps, learning rates and regularisation."""

    steps: int = 250
    """Steps of Adam; each renders one picture."""
    rates: tuple[float, float, float, float] = (0.02, 0.02, 0.003, 0.005)
    """Learning rates of colours, opacities, positions (in `PLACE_UNIT`) and sizes."""
    shape_rates: tuple[float, float] = (0.02, 0.02)
    """Learning rates of added Gaussians' rotations (half an angle, radians) and of the logarithms of their scales."""
    moves_added: bool = True
    """Whether added Gaussians may move; not those whose positions the data set tells."""
    reluctance: float = 0.02
    """Weight of the mean squared change: Gaussians that no picture shows stay unchanged."""
    seed: int = 7


def lifted(
    avatar: Avatar,
    look: Attribute,
    frames: Sequence[TrainingFrame],
    drawing: Drawing,
    *,
    moves_base: bool,
    config: LiftConfig,
    told: Callable[[float], None],
) -> tuple[Attribute, Rows, list[Shot]]:
    """A look fitted to pictures at weight 1, its rows, and the pictures to go on with: as the rows, relative to the fitted look.

    avatar: without attributes; look: what may change, with initial values; moves_base: whether base Gaussians may move.
    """
    rows, shots = rows_of(avatar, look), shots_of(avatar, look, frames, drawing)
    rates = torch.zeros(OUTPUTS)
    rates[COLOR], rates[OPACITY], rates[PLACE], rates[SIZE] = config.rates
    free = rates.repeat(len(rows), 1)
    if not moves_base:
        free[: rows.own, PLACE], free[: rows.own, SIZE] = 0, 0
    if not config.moves_added:
        free[rows.own :, PLACE] = 0
    free = torch.cat([free, free_shapes(rows, look, config.shape_rates)], 1)
    # Scaled by the learning rates, so that Adam has a single rate
    change = nn.Parameter(torch.zeros_like(free))
    optimizer = torch.optim.Adam([change], 1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps, eta_min=0.05)
    generator = torch.Generator().manual_seed(config.seed)
    order = torch.cat(
        [
            torch.randperm(len(shots), generator=generator)
            for _ in range(-(-config.steps // len(shots)))
        ]
    )
    for step in range(config.steps):
        told(step / config.steps)
        moved = free * change
        loss = shots[int(order[step])].loss(
            rows.ends + moved[:, :OUTPUTS], rows.before, moved[:, OUTPUTS:]
        )
        loss = loss + config.reluctance * moved.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        moved = free * change
        ends, shapes = rows.ends + moved[:, :OUTPUTS], moved[rows.own :, OUTPUTS:]
    look = replace(look, added=reshaped(avatar, look.added, shapes))
    shown = _shown(avatar, look, rows, ends.numpy())
    final = rows_of(avatar, shown)
    if moves_base:
        final.ends[: rows.own, PLACE.start :] = ends[: rows.own, PLACE.start :]
    return shown, final, shots_of(avatar, shown, frames, drawing)


def free_shapes(rows: Rows, look: Attribute, rates: tuple[float, float]) -> torch.Tensor:
    """Learning rates (n, 6) of `Shot.draw`'s shapes: 0 for base Gaussians, and for turns out of the surface."""
    free = torch.zeros(len(rows), 6)
    free[rows.own :] = torch.tensor(rates).repeat_interleave(3)
    on_surface = slice(rows.own, rows.own + len(look.added.surface.triangles))
    free[on_surface, :2] = free[on_surface, 5:] = 0
    return free


def reshaped(avatar: Avatar, added: AddedGaussians, shapes: torch.Tensor) -> AddedGaussians:
    """Added Gaussians with the rotations and scales of `Shot.draw`'s shapes (S + R, 6)."""
    surface, rigid, split = added.surface, added.rigid, len(added.surface.triangles)
    quats = turned(torch.from_numpy(rigid.quats), shapes[split:, :3])
    quats = quats / quats.norm(dim=1, keepdim=True)
    grown = torch.exp(shapes[:, 3:]).numpy()
    angles = 2 * torch.atan(shapes[:split, 2:3]).numpy()
    # as `animate` poses them: the second axis at a right angle to the first, their shear dropped
    corners = avatar.rig.vertices[avatar.rig.triangles[surface.triangles]]
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(e1, e2)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    first = surface.axes[:, :1] * e1 + surface.axes[:, 1:2] * e2
    second = surface.axes[:, 2:3] * e1 + surface.axes[:, 3:] * e2
    length = np.linalg.norm(first, axis=1, keepdims=True)
    along = first / np.maximum(length, 1e-12)
    across = np.cross(normal, along)
    width = np.abs((across * second).sum(1, keepdims=True))
    cos, sin = np.cos(angles), np.sin(angles)
    axes = np.stack(
        [
            grown[:split, :1] * length * (cos * along + sin * across),
            grown[:split, 1:2] * width * (cos * across - sin * along),
        ],
        2,
    )
    in_edges = (into_binding(avatar.rig, surface) @ axes)[:, :2]
    return replace(
        added,
        surface=replace(
            surface, axes=in_edges.transpose(0, 2, 1).reshape(-1, 4).astype(np.float32)
        ),
        rigid=replace(
            rigid,
            quats=quats.numpy().astype(np.float32),
            scales=(rigid.scales * grown[split:]).astype(np.float32),
        ),
    )


def _shown(avatar: Avatar, look: Attribute, rows: Rows, ends: Float32Array) -> Attribute:
    """The look with these values at weight 1; base Gaussians do not move, added ones appear where they stay."""
    own, its, added = ends[: rows.own], ends[rows.own :], look.added
    split = len(added.surface.triangles)
    grown = (added.least_size * np.exp(its[:, SIZE]))[:, None].astype(np.float32)
    places = (its[:, PLACE] * PLACE_UNIT).astype(np.float32)
    moved = (into_binding(avatar.rig, added.surface) @ places[:split, :, None])[:, :, 0]
    positions, means = added.surface_start + moved, added.rigid_start + places[split:]
    surface = replace(
        added.surface,
        positions=positions,
        axes=added.surface.axes * grown[:split],
    )
    rigid = replace(
        added.rigid,
        means=means,
        scales=added.rigid.scales * grown[split:],
    )
    return replace(
        look,
        colors=np.clip(avatar.colors[look.ids] + own[:, COLOR], 0, 1).astype(np.float32),
        opacities=np.clip(avatar.opacities[look.ids] + own[:, OPACITY], 0, 1).astype(np.float32),
        added=replace(
            added,
            surface=surface,
            surface_start=positions,
            rigid=rigid,
            rigid_start=means,
            opacities=np.clip(its[:, OPACITY], 0, 1),
            colors=np.clip(added.colors + its[:, COLOR], 0, 1),
        ),
    )
