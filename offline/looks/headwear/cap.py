"""A baseball cap: six panels with seams, a button, and a curved brim."""

from __future__ import annotations

import numpy as np

from offline.gaussian_layer import COVERAGE
from offline.looks.assembly import flat, joined, tube
from offline.looks.headwear.hat_form import HatForm, hat_form, surface_normals
from offline.looks.headwear.under_hat import hat_attribute
from offline.looks.measured_head import head_shape
from offline.numeric import normalized, ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians

_SEED = 23
_NAVY = np.array([0.13, 0.17, 0.30])
_BRIM_HALF_ANGLE = np.radians(58)


def baseball_cap(avatar: Avatar) -> Attribute:
    """Six panels and a curved brim."""
    form = hat_form(head_shape(avatar), front=0.72, back=-0.012)
    crown, brim, edge = _cap_crown(form), *_cap_brim(form)
    hat = joined(crown, brim)
    return hat_attribute("hat-cap", "Baseball cap", form, hat, extra=0.004, brim=edge)


def _dome_grid(
    form: HatForm, spacing: float, first: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Azimuths, elevations and row numbers of points about `spacing` apart, from elevation `first` to the crown."""
    azimuths: list[FloatArray] = []
    elevations: list[FloatArray] = []
    rows: list[FloatArray] = []
    reach = float(form.reach(np.zeros(1), np.zeros(1))[0])
    levels = np.arange(first, np.pi / 2, 0.866 * spacing / reach * 1.08)
    for row, level in enumerate(levels):
        count = max(1, round(2 * np.pi * 1.02 * reach * np.cos(level) / spacing))
        azimuths.append((np.arange(count) + (row % 2) / 2) * 2 * np.pi / count)
        elevations.append(np.full(count, level))
        rows.append(np.full(count, float(row)))
    return np.concatenate(azimuths), np.concatenate(elevations), np.concatenate(rows)


def _cap_form(form: HatForm, azimuth: FloatArray, elevation: FloatArray) -> FloatArray:
    front = ramp(np.cos(azimuth), 0.2, 0.9)
    stiff = 0.013 * front * np.sin(np.clip(1.7 * elevation, 0, np.pi)) + 0.004 * np.sin(elevation)
    return form.points(azimuth, elevation, 0.003 + stiff)


def _cap_crown(form: HatForm) -> Gaussians:
    rng = np.random.default_rng(_SEED)
    spacing = 0.0074 * form.size
    azimuth, elevation, _ = _dome_grid(form, spacing, -0.02)
    points = _cap_form(form, azimuth, elevation)
    outwards = form.direction(azimuth, elevation)
    across, along = (
        _cap_form(form, azimuth + 0.03, elevation),
        _cap_form(form, azimuth, elevation + 0.03),
    )
    normals = surface_normals(points, across, along, outwards)
    to_seam = np.abs(np.mod(azimuth + np.pi / 6, np.pi / 3) - np.pi / 6) * np.cos(elevation) * 0.09
    shade = form.shape.light.on(normals) * (0.9 + 0.04 * rng.standard_normal((len(points), 1)))
    shade = (
        shade
        * (1 - 0.22 * np.exp(-0.5 * (to_seam / 0.004) ** 2) * ramp(elevation, 1.5, 1.2))[:, None]
    )
    shade = shade * (0.82 + 0.18 * ramp(elevation, 0.0, 0.25))[:, None]
    parts = [flat(points, normals, COVERAGE * spacing, _NAVY * shade, opacity=0.96)]
    level = np.linspace(0.0, np.pi / 2 - 0.06, 22)
    for seam in np.arange(6) * np.pi / 3:
        at = np.full(len(level), seam)
        line = _cap_form(form, at, level) + 0.0008 * form.direction(at, level)
        light = form.shape.light.on(form.direction(at, level))[:-1]
        parts.append(tube(line, 0.0006, 0.62 * _NAVY * light, opacity=0.75, closed=False))
    around = np.linspace(0, 2 * np.pi, 130, endpoint=False)
    edge = _cap_form(form, around, np.full(130, -0.025))
    parts.append(
        tube(
            edge,
            0.0011,
            0.6 * _NAVY * form.shape.light.on(form.direction(around, np.zeros(130))),
            closed=True,
        )
    )
    top = _cap_form(form, np.zeros(1), np.full(1, np.pi / 2 - 1e-3))
    button = top + 0.002 * form.axes[1]
    up = form.axes[1:2]
    parts.append(
        flat(button, up, 0.0035, _NAVY * form.shape.light.on(up), opacity=0.97, thickness=0.0018)
    )
    return joined(*parts)


def _brim_point(form: HatForm, azimuth: FloatArray, share: FloatArray) -> FloatArray:
    base = form.local(_cap_form(form, azimuth, np.zeros_like(azimuth)))
    middle = np.clip(np.cos(azimuth / _BRIM_HALF_ANGLE * np.pi / 2), 0, None) ** 0.55
    out = 0.070 * middle * share
    x = base[:, 0] * (1 + 0.10 * share * middle)
    y = base[:, 1] - 0.48 * out - 2.4 * x**2 * share - 0.16 * out**2 / 0.07
    return form.origin + np.stack([x, y, base[:, 2] + out], 1) @ form.axes


def _cap_brim(form: HatForm) -> tuple[Gaussians, FloatArray]:
    """The brim's two sides, and its outer edge."""
    spacing = 0.0064 * form.size
    azimuth: list[FloatArray] = []
    share: list[FloatArray] = []
    for row, s in enumerate(np.linspace(0.02, 0.87, 12)):
        count = round(0.205 * form.size / spacing)
        azimuth.append(np.linspace(-0.985, 0.985, count + row % 2) * _BRIM_HALF_ANGLE)
        share.append(np.full(count + row % 2, s))
    a, s = np.concatenate(azimuth), np.concatenate(share)
    points = _brim_point(form, a, s)
    up = np.broadcast_to(form.axes[1], points.shape)
    normals = surface_normals(
        points,
        _brim_point(form, a - 0.04 * np.sign(a - 1e-9), s),
        _brim_point(form, a, s + 0.05),
        up,
    )
    stitches = 1 - 0.10 * (np.abs(np.mod(s * 13, 2) - 1) < 0.5)
    contact = 0.55 + 0.45 * ramp(s, 0.0, 0.3)
    light = form.shape.light
    tone = 1.15 * _NAVY * light.on(normals) * (stitches * contact)[:, None]
    above = flat(points + 0.0012 * normals, normals, COVERAGE * spacing, tone, opacity=0.96)
    below = flat(
        points - 0.0012 * normals,
        normals,
        COVERAGE * spacing,
        0.5 * _NAVY * light.on(-normals),
        opacity=0.96,
    )
    around = np.linspace(-1, 1, 80) * _BRIM_HALF_ANGLE
    edge = _brim_point(form, around, np.ones(80))
    lit = 0.85 * _NAVY * light.on(normalized(form.axes[1:2] + form.axes[2:]))[0]
    piping = [
        tube(_brim_point(form, around, np.full(80, share)), radius, lit, closed=False)
        for share, radius in ((0.91, 0.0032), (0.96, 0.0026), (1.0, 0.0014))
    ]
    return joined(above, below, *piping), edge
