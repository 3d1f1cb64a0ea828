"""A beanie: knitted ribs with a turned-up edge."""

from __future__ import annotations

import numpy as np

from offline.looks.assembly import flat, joined, tube
from offline.looks.headwear.hat_form import HatForm, hat_form, surface_normals
from offline.looks.headwear.under_hat import hat_attribute
from offline.looks.measured_head import head_shape
from offline.numeric import ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians

_SEED = 23
_TEAL = np.array([0.15, 0.36, 0.38])


def beanie(avatar: Avatar) -> Attribute:
    """Knitted ribs with a turned-up edge."""
    form = hat_form(head_shape(avatar), front=0.55, back=-0.035)
    hat = _knitted(form)
    return hat_attribute("hat-beanie", "Beanie", form, hat, extra=0.008)


def _knit_form(form: HatForm, azimuth: FloatArray, elevation: FloatArray) -> FloatArray:
    slack = 0.004 + 0.012 * np.sin(np.clip(elevation, 0, np.pi / 2)) ** 2
    return form.points(azimuth, elevation, slack)


def _knitted(form: HatForm) -> Gaussians:
    rng = np.random.default_rng(_SEED)
    columns = 156
    reach = float(form.reach(np.zeros(1), np.zeros(1))[0])
    stitch = 0.0112 * form.size  # metres between rows
    parts = [
        _ribs(
            form,
            level,
            columns // max(1, 2 ** int(np.log2(1 / max(np.cos(level), 0.06)))),
            stitch,
            0.0,
            rng,
        )
        for level in np.arange(0.05, np.pi / 2 - 0.03, stitch / reach)
    ]
    fold = 0.045 * form.size / reach  # the turned-up part, radians
    cuff = [
        _ribs(form, level, columns, stitch, 0.0045, rng)
        for level in np.arange(0.0, fold - 0.03, stitch / reach)
    ]
    top = _knit_form(form, np.zeros(1), np.full(1, np.pi / 2))
    up = form.axes[1:2]
    crown = flat(top, up, 0.007, 0.8 * _TEAL * form.shape.light.on(up), opacity=0.97)
    edges = [
        _cuff_edge(form, level, tone)
        for level, tone in ((-0.065, 0.6), (-0.03, 0.8), (fold - 0.05, 0.95))
    ]
    return joined(*parts, *cuff, crown, *edges)


def _cuff_edge(form: HatForm, level: float, tone: float) -> Gaussians:
    around = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    at = np.full(96, level)
    edge = _knit_form(form, around, at) + 0.004 * form.direction(around, at)
    return tube(
        edge,
        0.0026,
        tone * _TEAL * form.shape.light.on(form.direction(around, at)),
        closed=True,
        opacity=0.95,
    )


def _ribs(
    form: HatForm, level: float, columns: int, stitch: float, lift: float, rng: np.random.Generator
) -> Gaussians:
    """One row of a rib: columns that stand out and columns that lie back."""
    azimuth = (np.arange(columns) + 0.5) * 2 * np.pi / columns
    elevation = np.full(columns, level)
    outwards = form.direction(azimuth, elevation)
    points = _knit_form(form, azimuth, elevation) + lift * outwards
    across, along = (
        _knit_form(form, azimuth + 0.03, elevation),
        _knit_form(form, azimuth, elevation + 0.03),
    )
    base = _knit_form(form, azimuth, elevation)
    normals = surface_normals(base, across, along, outwards)
    raised = np.arange(columns) % 2 == 0
    points = points + np.where(raised, 0.0012, -0.0004)[:, None] * normals
    tone = np.where(raised, 1.06, 0.66) + 0.06 * rng.standard_normal(columns)
    if lift == 0:
        tone = tone * (0.72 + 0.28 * ramp(np.full(columns, level), 0.42, 0.62))
    width = np.linalg.norm(across - base, axis=1) / 0.03 * 2 * np.pi / columns
    sigma = np.stack([np.full(columns, 0.62 * stitch), 0.60 * width], 1)
    return flat(
        points,
        normals,
        sigma,
        _TEAL * form.shape.light.on(normals) * tone[:, None],
        opacity=0.95,
        along=along - base,
        thickness=0.0007,
    )
