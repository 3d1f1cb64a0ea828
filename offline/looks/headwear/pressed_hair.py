"""Compressed hair at the back of the head: it emerges under a hat and widens into the hair that hangs below.

An avatar's hair is a hollow shell; without its top, the rest would stand off behind a hat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.looks.assembly import flat
from offline.looks.headwear.hat_form import HatForm, surface_normals
from offline.looks.measured_head import centers_of, own_tones
from offline.numeric import ramp
from perse_live.arrays import FloatArray
from perse_live.gaussians import Gaussians

_SEED = 41
_FIRST = np.radians(95)  # azimuth behind which hair is compressed
_FALL = 0.075  # metres below the hat over which it widens
_WIDENS = 0.028  # metres, at most
_ROWS = 13
_COLUMNS = 101


@dataclass(frozen=True, eq=False)
class PressedHair:
    """A surface around the back of the head, from a hat's edge downwards."""

    azimuths: FloatArray
    """(C,) increasing, [0, 2 pi]."""
    upper: FloatArray
    """(C,) metres from the hat's axis at its edge."""
    lower: FloatArray
    """(C,) metres from the axis where it ends."""
    fall: FloatArray
    """(C,) metres that it reaches down; 0 where there is no hair."""

    def radius(self, azimuth: FloatArray, below: FloatArray) -> FloatArray:
        """Distance (N,) from the hat's axis at azimuths (N,) and metres below the edge (N,)."""
        around = np.mod(azimuth, 2 * np.pi)
        upper, lower, fall = (
            np.interp(around, self.azimuths, values)
            for values in (self.upper, self.lower, self.fall)
        )
        share = ramp(below / np.maximum(fall, 1e-3), 0.0, 1.0)
        return upper + (lower - upper) * share

    def hides(self, azimuth: FloatArray, below: FloatArray, distance: FloatArray) -> FloatArray:
        """Fraction [0, 1] to which hair at these coordinates (N,), `distance` metres from the axis, is hidden by compression."""
        around = np.mod(azimuth, 2 * np.pi)
        fall = np.interp(around, self.azimuths, self.fall)
        inside = ramp(around, self.azimuths[0] - 0.05, self.azimuths[0] + 0.1)
        inside = inside * ramp(around, self.azimuths[-1] + 0.05, self.azimuths[-1] - 0.1)
        beyond = ramp(distance - self.radius(azimuth, below), 0.000, 0.005)
        return inside * beyond * ramp(below - fall, 0.004, -0.008) * (fall > 0.01)


def pressed_hair(form: HatForm, extra: float) -> PressedHair:
    """The compressed hair that emerges under a hat. extra: thickness of the hat, metres."""
    avatar = form.shape.avatar
    azimuths = np.linspace(_FIRST, 2 * np.pi - _FIRST, _COLUMNS)
    upper = form.reach(azimuths, np.zeros(_COLUMNS)) + extra - 0.003
    places = centers_of(avatar)[form.shape.hair & (avatar.opacities > 0.4)]
    local = form.local(places)
    around, distance = (
        np.mod(np.arctan2(local[:, 0], local[:, 2]), 2 * np.pi),
        np.hypot(local[:, 0], local[:, 2]),
    )
    lower, fall = upper.copy(), np.zeros(_COLUMNS)
    for k, azimuth in enumerate(azimuths):
        column = (
            (np.abs(around - azimuth) < np.radians(10))
            & (local[:, 1] < -0.008)
            & (distance > upper[k] - 0.03)
        )
        if column.sum() < 12:
            continue
        fall[k] = min(_FALL, float(-np.percentile(local[column, 1], 4)))
        end = column & (np.abs(local[:, 1] + fall[k]) < 0.02)
        lower[k] = (
            min(float(np.median(distance[end])), upper[k] + _WIDENS) if end.sum() > 5 else upper[k]
        )
    blend = np.array([0.25, 0.5, 0.25])
    lower, fall = (
        np.convolve(np.pad(values, 1, mode="edge"), blend, mode="valid") for values in (lower, fall)
    )
    return PressedHair(azimuths, upper, lower, fall)


def pressed_gaussians(form: HatForm, pressed: PressedHair) -> Gaussians:
    """The surface as about 1,300 Gaussians in the colours of the person's hair; fewer where there is less hair."""
    rng = np.random.default_rng(_SEED)
    share, azimuth = (
        grid.reshape(-1)
        for grid in np.meshgrid(np.linspace(-0.05, 0.97, _ROWS), pressed.azimuths, indexing="ij")
    )
    fall = np.interp(azimuth, pressed.azimuths, pressed.fall)
    keep = fall > 0.012
    share, azimuth, fall = share[keep], azimuth[keep], fall[keep]

    def at(turn: FloatArray, part: FloatArray) -> FloatArray:
        below = part * fall
        radius = pressed.radius(turn, below)
        local = np.stack([radius * np.sin(turn), -below, radius * np.cos(turn)], 1)
        return form.origin + local @ form.axes

    points = at(azimuth, share)
    along = at(azimuth, share + 0.05) - points
    normals = surface_normals(
        points,
        at(azimuth + 0.03, share),
        points + along,
        form.direction(azimuth, np.zeros_like(azimuth)),
    )
    width = (
        np.linalg.norm(at(azimuth + 0.03, share) - points, axis=1)
        / 0.03
        * (pressed.azimuths[1] - pressed.azimuths[0])
    )
    sigma = np.stack([np.maximum(fall / _ROWS, 0.003) * 0.8, 0.6 * width], 1)
    tones = own_tones(form.shape, _COLUMNS, rng)  # a colour for each column: strands
    tone = (0.6 * tones + 0.4 * tones.mean(0))[np.tile(np.arange(_COLUMNS), _ROWS)[keep]]
    light = form.shape.light.shade(normals) * (0.6 + 0.35 * ramp(share, 0.0, 0.5))[:, None]
    return flat(points, normals, sigma, tone * light, opacity=0.95, along=along, thickness=0.001)
