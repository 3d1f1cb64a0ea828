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
from offline.training.shots import Shot, shots_of
from perse_live.arrays import Float32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.decoder.features import into_binding
from perse_live.decoder.network import COLOR, OPACITY, OUTPUTS, PLACE, PLACE_UNIT, SIZE


@dataclass(frozen=True)
class LiftConfig:
    """Steps, learning rates and regularisation."""

    steps: int = 120
    """Steps of Adam; each renders one picture."""
    rates: tuple[float, float, float, float] = (0.02, 0.02, 0.01, 0.01)
    """Learning rates of colours, opacities, positions (in `PLACE_UNIT`) and sizes."""
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
    # Scaled by the learning rates, so that Adam has a single rate
    change = nn.Parameter(torch.zeros(len(rows), OUTPUTS))
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
        loss = shots[int(order[step])].loss(rows.ends + free * change, rows.before)
        loss = loss + config.reluctance * (free * change).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        ends = rows.ends + free * change
    shown = _shown(avatar, look, rows, ends.numpy())
    final = rows_of(avatar, shown)
    if moves_base:
        final.ends[: rows.own, PLACE.start :] = ends[: rows.own, PLACE.start :]
    return shown, final, shots_of(avatar, shown, frames, drawing)


def _shown(avatar: Avatar, look: Attribute, rows: Rows, ends: Float32Array) -> Attribute:
    """The look with these values at weight 1; base Gaussians do not move."""
    own, its, added = ends[: rows.own], ends[rows.own :], look.added
    split = len(added.surface.triangles)
    grown = (added.least_size * np.exp(its[:, SIZE]))[:, None].astype(np.float32)
    places = (its[:, PLACE] * PLACE_UNIT).astype(np.float32)
    moved = (into_binding(avatar.rig, added.surface) @ places[:split, :, None])[:, :, 0]
    surface = replace(
        added.surface,
        positions=added.surface_start + moved,
        axes=added.surface.axes * grown[:split],
    )
    rigid = replace(
        added.rigid,
        means=added.rigid_start + places[split:],
        scales=added.rigid.scales * grown[split:],
    )
    return replace(
        look,
        colors=np.clip(avatar.colors[look.ids] + own[:, COLOR], 0, 1).astype(np.float32),
        opacities=np.clip(avatar.opacities[look.ids] + own[:, OPACITY], 0, 1).astype(np.float32),
        added=replace(
            added,
            surface=surface,
            rigid=rigid,
            opacities=np.clip(its[:, OPACITY], 0, 1),
            colors=np.clip(added.colors + its[:, COLOR], 0, 1),
        ),
    )
