"""A felt hat with a ribbon and a wide brim."""

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
_FELT, _RIBBON = np.array([0.58, 0.44, 0.30]), np.array([0.16, 0.11, 0.09])


def wide_hat(avatar: Avatar) -> Attribute:
    """A felt hat with a ribbon and a wide brim."""
    form = hat_form(head_shape(avatar), front=0.75, back=0.006)
    brim, edge = _wide_brim(form)
    hat = joined(_felt_crown(form), brim)
    return hat_attribute("hat-wide", "Wide-brimmed hat", form, hat, extra=0.004, brim=edge)


def _felt_point(
    form: HatForm, azimuth: FloatArray, height: FloatArray, share: FloatArray
) -> FloatArray:
    """On the crown: `height` [0, 1] up its side, `share` [0, 1] from its axis outwards."""
    base = form.local(form.points(azimuth, np.zeros_like(azimuth), 0.004))
    tall = _felt_height(form)
    narrow = (1 - 0.16 * height**1.5) * share
    pinch = 1 - 0.12 * ramp(height, 0.45, 1.0) * ramp(np.cos(azimuth), 0.55, 0.95)
    crease = (
        0.018
        * np.exp(-0.5 * (base[:, 0] * share / 0.022) ** 2)
        * ramp(share, 1.0, 0.55)
        * (height > 0.99)
    )
    rounded = 0.006 * ramp(share, 0.8, 1.0) * (height > 0.99)
    local = np.stack(
        [
            base[:, 0] * narrow * pinch,
            base[:, 1] + tall * height - crease - rounded,
            base[:, 2] * narrow,
        ],
        1,
    )
    return form.origin + local @ form.axes


def _felt_height(form: HatForm) -> float:
    top = float(form.reach(np.zeros(1), np.full(1, np.pi / 2))[0])
    return top + 0.014


def _felt_crown(form: HatForm) -> Gaussians:
    rng = np.random.default_rng(_SEED)
    spacing = 0.0094 * form.size
    light, tall = form.shape.light, _felt_height(form)
    rings = np.linspace(0.0, 0.90, round(tall / (0.866 * spacing)))
    grid = [(height, 1.0, max(8, round(0.57 * form.size / spacing))) for height in rings]
    grid += [
        (1.0, share, max(1, round(0.50 * form.size * share / spacing)))
        for share in np.arange(0.04, 0.95, 0.085)
    ]
    azimuth = np.concatenate(
        [(np.arange(n) + (k % 2) / 2) * 2 * np.pi / n for k, (_, _, n) in enumerate(grid)]
    )
    height = np.concatenate([np.full(n, h) for h, _, n in grid])
    share = np.concatenate([np.full(n, s) for _, s, n in grid])
    points = _felt_point(form, azimuth, height, share)
    side = height < 0.995
    along = np.where(
        side[:, None],
        _felt_point(form, azimuth, height + 0.01 * side, share),
        _felt_point(form, azimuth, height, share - 0.02),
    )
    center = form.origin + 0.3 * tall * form.axes[1]
    normals = surface_normals(
        points, _felt_point(form, azimuth + 0.03, height, share), along, points - center
    )
    ribbon = ramp(height, 0.27, 0.255) * side
    color = (1 - ribbon)[:, None] * _FELT + ribbon[:, None] * _RIBBON
    tone = (1 + 0.025 * rng.standard_normal(len(points))) * (0.72 + 0.28 * ramp(height, 0.0, 0.15))
    body = flat(
        points,
        normals,
        COVERAGE * spacing * 1.05,
        color * light.on(normals) * tone[:, None],
        opacity=0.97,
    )
    around = np.linspace(0, 2 * np.pi, 84, endpoint=False)
    line = _felt_point(form, around, np.full(84, 0.265), np.ones(84)) + 0.0012 * form.direction(
        around, np.zeros(84)
    )
    edge = tube(
        line, 0.0009, 0.8 * _RIBBON * light.on(form.direction(around, np.zeros(84))), closed=True
    )
    lit = _FELT * light.on(normalized(form.direction(around, np.zeros(84)) + form.axes[1]))
    top = [
        tube(
            _felt_point(form, around, np.full(84, high), np.full(84, wide)),
            0.004,
            0.98 * lit,
            closed=True,
        )
        for high, wide in ((0.945, 0.99), (0.975, 0.975))
    ]
    return joined(body, edge, *top)


def _wide_point(form: HatForm, azimuth: FloatArray, share: FloatArray) -> FloatArray:
    base = form.local(form.points(azimuth, np.zeros_like(azimuth), 0.004))
    flat_reach = np.hypot(base[:, 0], base[:, 2])
    out = 0.072 * share
    curl = 0.020 * np.sin(azimuth) ** 2 - 0.016 * np.cos(azimuth) ** 2
    y = (
        base[:, 1]
        + curl * share**2
        - 0.003 * share
        + 0.003 * np.sin(3 * azimuth + 0.5 * np.pi) * share**2
    )
    grown = (flat_reach + out) / flat_reach
    return form.origin + np.stack([base[:, 0] * grown, y, base[:, 2] * grown], 1) @ form.axes


def _wide_brim(form: HatForm) -> tuple[Gaussians, FloatArray]:
    spacing = 0.0117 * form.size
    light = form.shape.light
    shares = np.linspace(0.03, 0.965, 10)
    counts = [round(2 * np.pi * (0.088 * form.size + 0.072 * s) / spacing) for s in shares]
    azimuth = np.concatenate(
        [(np.arange(n) + (k % 2) / 2) * 2 * np.pi / n for k, n in enumerate(counts)]
    )
    share = np.repeat(shares, counts)
    points = _wide_point(form, azimuth, share)
    up = np.broadcast_to(form.axes[1], points.shape)
    normals = surface_normals(
        points,
        _wide_point(form, azimuth + 0.03, share),
        _wide_point(form, azimuth, share + 0.05),
        up,
    )
    contact = (0.68 + 0.32 * ramp(share, 0.0, 0.3))[:, None]
    sigma = COVERAGE * spacing * 1.04
    above = flat(
        points + 0.001 * normals, normals, sigma, _FELT * light.on(normals) * contact, opacity=0.97
    )
    below = flat(
        points - 0.001 * normals,
        normals,
        sigma,
        0.52 * _FELT * light.on(-normals) * contact,
        opacity=0.97,
    )
    around = np.linspace(-np.pi, np.pi, 120, endpoint=False)
    edge = _wide_point(form, around, np.ones(120))
    lit = light.on(normalized(form.direction(around, np.zeros(120)) + form.axes[1]))
    return joined(above, below, tube(edge, 0.0017, 0.82 * _FELT * lit, closed=True)), edge
