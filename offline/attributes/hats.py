"""Cap, beanie and wide-brimmed hat."""

from __future__ import annotations

import numpy as np

from offline.attributes.assembly import attribute, flat, joined, rigid_added, tube
from offline.attributes.hat_form import HatForm, hat_form, under_hat
from offline.attributes.head_shape import head_shape
from offline.layers import COVERAGE
from offline.numeric import ramp, unit
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians

_SEED = 23
_NAVY, _TEAL = np.array([0.13, 0.17, 0.30]), np.array([0.15, 0.36, 0.38])
_FELT, _RIBBON = np.array([0.58, 0.44, 0.30]), np.array([0.16, 0.11, 0.09])
_BRIM_HALF_ANGLE = np.radians(66)


def baseball_cap(avatar: Avatar) -> Attribute:
    """Six panels and a curved brim."""
    form = hat_form(head_shape(avatar), front=0.72, back=-0.012)
    crown, brim, edge = _cap_crown(form), *_cap_brim(form)
    hat = joined(crown, brim)
    return attribute("hat-cap", "Baseball cap", "hat", rigid_added(hat, start=form.put_on(hat.means)),
                     under_hat(form, extra=0.004, brim=edge))


def beanie(avatar: Avatar) -> Attribute:
    """Knitted ribs with a turned-up edge."""
    form = hat_form(head_shape(avatar), front=0.55, back=-0.035)
    hat = _knitted(form)
    return attribute("hat-beanie", "Beanie", "hat", rigid_added(hat, start=form.put_on(hat.means)), under_hat(form, extra=0.008))


def wide_hat(avatar: Avatar) -> Attribute:
    """A felt hat with a ribbon and a wide brim."""
    form = hat_form(head_shape(avatar), front=0.75, back=0.006)
    brim, edge = _wide_brim(form)
    hat = joined(_felt_crown(form), brim)
    return attribute("hat-wide", "Wide-brimmed hat", "hat", rigid_added(hat, start=form.put_on(hat.means)),
                     under_hat(form, extra=0.004, brim=edge))


def _normals(points: FloatArray, across: FloatArray, along: FloatArray, outwards: FloatArray) -> FloatArray:
    """Of a surface (N, 3) from points a little further in two directions; on the side of `outwards` (N, 3)."""
    normal = unit(np.cross(across - points, along - points))
    return np.where((normal * outwards).sum(1, keepdims=True) < 0, -normal, normal)


def _dome_grid(form: HatForm, spacing: float, first: float) -> tuple[FloatArray, FloatArray, FloatArray]:
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
    spacing = 0.0070
    azimuth, elevation, _ = _dome_grid(form, spacing, -0.02)
    points = _cap_form(form, azimuth, elevation)
    outwards = form.direction(azimuth, elevation)
    normals = _normals(points, _cap_form(form, azimuth + 0.03, elevation), _cap_form(form, azimuth, elevation + 0.03), outwards)
    to_seam = np.abs(np.mod(azimuth + np.pi / 6, np.pi / 3) - np.pi / 6) * np.cos(elevation) * 0.09
    shade = form.shape.light.on(normals) * (0.9 + 0.04 * rng.standard_normal((len(points), 1)))
    shade = shade * (1 - 0.22 * np.exp(-0.5 * (to_seam / 0.004) ** 2) * ramp(elevation, 1.5, 1.2))[:, None]
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
    parts.append(tube(edge, 0.0011, 0.6 * _NAVY * form.shape.light.on(form.direction(around, np.zeros(130))), closed=True))
    top = _cap_form(form, np.zeros(1), np.full(1, np.pi / 2 - 1e-3))
    button = top + 0.002 * form.axes[1]
    up = form.axes[1:2]
    parts.append(flat(button, up, 0.0035, _NAVY * form.shape.light.on(up), opacity=0.97, thickness=0.0018))
    return joined(*parts)


def _brim_point(form: HatForm, azimuth: FloatArray, share: FloatArray) -> FloatArray:
    base = form.local(_cap_form(form, azimuth, np.zeros_like(azimuth)))
    middle = np.clip(np.cos(azimuth / _BRIM_HALF_ANGLE * np.pi / 2), 0, None) ** 0.55
    out = 0.070 * middle * share
    x = base[:, 0] * (1 + 0.10 * share * middle)
    y = base[:, 1] - 0.24 * out - 3.6 * x**2 * share - 0.16 * out**2 / 0.07
    return form.origin + np.stack([x, y, base[:, 2] + out], 1) @ form.axes


def _cap_brim(form: HatForm) -> tuple[Gaussians, FloatArray]:
    """The brim's two sides, and its outer edge."""
    spacing = 0.0064
    azimuth: list[FloatArray] = []
    share: list[FloatArray] = []
    for row, s in enumerate(np.linspace(0.02, 0.95, 13)):
        count = round(0.205 / spacing)
        azimuth.append(np.linspace(-0.95, 0.95, count + row % 2) * _BRIM_HALF_ANGLE)
        share.append(np.full(count + row % 2, s))
    a, s = np.concatenate(azimuth), np.concatenate(share)
    points = _brim_point(form, a, s)
    up = np.broadcast_to(form.axes[1], points.shape)
    normals = _normals(points, _brim_point(form, a + 0.02, s), _brim_point(form, a, s + 0.05), up)
    stitches = 1 - 0.10 * (np.abs(np.mod(s * 13, 2) - 1) < 0.5)
    contact = 0.75 + 0.25 * ramp(s, 0.0, 0.25)
    light = form.shape.light
    above = flat(points + 0.0012 * normals, normals, COVERAGE * spacing, _NAVY * light.on(normals) * (stitches * contact)[:, None],
                 opacity=0.96)
    below = flat(points - 0.0012 * normals, normals, COVERAGE * spacing, 0.5 * _NAVY * light.on(-normals), opacity=0.96)
    around = np.linspace(-1, 1, 70) * _BRIM_HALF_ANGLE
    edge = _brim_point(form, around, np.ones(70))
    piping = tube(edge, 0.0016, 0.85 * _NAVY * light.on(np.broadcast_to(unit(form.axes[1:2] + form.axes[2:]), (69, 3))), closed=False)
    return joined(above, below, piping), edge


def _knit_form(form: HatForm, azimuth: FloatArray, elevation: FloatArray) -> FloatArray:
    slack = 0.004 + 0.012 * np.sin(np.clip(elevation, 0, np.pi / 2)) ** 2
    return form.points(azimuth, elevation, slack)


def _knitted(form: HatForm) -> Gaussians:
    rng = np.random.default_rng(_SEED)
    columns = 156
    reach = float(form.reach(np.zeros(1), np.zeros(1))[0])
    stitch = 0.0105  # metres between rows
    parts = [_ribs(form, level, columns // max(1, 2 ** int(np.log2(1 / max(np.cos(level), 0.06)))), stitch, 0.0, rng)
             for level in np.arange(0.05, np.pi / 2 - 0.03, stitch / reach)]
    cuff = [_ribs(form, level, columns, stitch, 0.0045, rng) for level in np.arange(-0.04, 0.045 / reach - 0.04, stitch / reach)]
    top = _knit_form(form, np.zeros(1), np.full(1, np.pi / 2))
    up = form.axes[1:2]
    crown = flat(top, up, 0.007, 0.8 * _TEAL * form.shape.light.on(up), opacity=0.97)
    return joined(*parts, *cuff, crown, *[_cuff_edge(form, level, tone) for level, tone in ((-0.075, 0.55), (0.045 / reach - 0.07, 0.95))])


def _cuff_edge(form: HatForm, level: float, tone: float) -> Gaussians:
    around = np.linspace(0, 2 * np.pi, 110, endpoint=False)
    at = np.full(110, level)
    edge = _knit_form(form, around, at) + 0.004 * form.direction(around, at)
    return tube(edge, 0.0022, tone * _TEAL * form.shape.light.on(form.direction(around, at)), closed=True, opacity=0.95)


def _ribs(form: HatForm, level: float, columns: int, stitch: float, lift: float, rng: np.random.Generator) -> Gaussians:
    """One row of a rib: columns that stand out and columns that lie back."""
    azimuth = (np.arange(columns) + 0.5) * 2 * np.pi / columns
    elevation = np.full(columns, level)
    outwards = form.direction(azimuth, elevation)
    points = _knit_form(form, azimuth, elevation) + lift * outwards
    across, along = _knit_form(form, azimuth + 0.03, elevation), _knit_form(form, azimuth, elevation + 0.03)
    base = _knit_form(form, azimuth, elevation)
    normals = _normals(base, across, along, outwards)
    raised = np.arange(columns) % 2 == 0
    points = points + np.where(raised, 0.0012, -0.0004)[:, None] * normals
    tone = np.where(raised, 1.06, 0.66) + 0.06 * rng.standard_normal(columns)
    if lift == 0:
        tone = tone * (0.72 + 0.28 * ramp(np.full(columns, level), 0.42, 0.62))
    width = np.linalg.norm(across - base, axis=1) / 0.03 * 2 * np.pi / columns
    sigma = np.stack([np.full(columns, 0.62 * stitch), 0.60 * width], 1)
    return flat(points, normals, sigma, _TEAL * form.shape.light.on(normals) * tone[:, None], opacity=0.95, along=along - base,
                thickness=0.0007)


def _felt_point(form: HatForm, azimuth: FloatArray, height: FloatArray, share: FloatArray) -> FloatArray:
    """On the crown: `height` [0, 1] up its side, `share` [0, 1] from its axis outwards."""
    base = form.local(form.points(azimuth, np.zeros_like(azimuth), 0.004))
    tall = _felt_height(form)
    narrow = (1 - 0.16 * height**1.5) * share
    pinch = 1 - 0.12 * ramp(height, 0.45, 1.0) * ramp(np.cos(azimuth), 0.55, 0.95)
    crease = 0.018 * np.exp(-0.5 * (base[:, 0] * share / 0.022) ** 2) * ramp(share, 1.0, 0.55) * (height > 0.99)
    rounded = 0.006 * ramp(share, 0.8, 1.0) * (height > 0.99)
    local = np.stack([base[:, 0] * narrow * pinch, base[:, 1] + tall * height - crease - rounded, base[:, 2] * narrow], 1)
    return form.origin + local @ form.axes


def _felt_height(form: HatForm) -> float:
    top = float(form.reach(np.zeros(1), np.full(1, np.pi / 2))[0])
    return top + 0.014


def _felt_crown(form: HatForm) -> Gaussians:
    rng = np.random.default_rng(_SEED)
    spacing = 0.0086
    light, tall = form.shape.light, _felt_height(form)
    rings = np.linspace(0.0, 0.93, round(tall / (0.866 * spacing)))
    grid = [(height, 1.0, max(8, round(0.57 / spacing))) for height in rings]
    grid += [(1.0, share, max(1, round(0.50 * share / spacing))) for share in np.arange(0.04, 0.95, 0.085)]
    azimuth = np.concatenate([(np.arange(n) + (k % 2) / 2) * 2 * np.pi / n for k, (_, _, n) in enumerate(grid)])
    height = np.concatenate([np.full(n, h) for h, _, n in grid])
    share = np.concatenate([np.full(n, s) for _, s, n in grid])
    points = _felt_point(form, azimuth, height, share)
    side = height < 0.995
    along = np.where(side[:, None], _felt_point(form, azimuth, height + 0.01 * side, share), _felt_point(form, azimuth, height, share - 0.02))
    center = form.origin + 0.3 * tall * form.axes[1]
    normals = _normals(points, _felt_point(form, azimuth + 0.03, height, share), along, points - center)
    ribbon = ramp(height, 0.27, 0.255) * side
    color = (1 - ribbon)[:, None] * _FELT + ribbon[:, None] * _RIBBON
    tone = (1 + 0.025 * rng.standard_normal(len(points))) * (0.72 + 0.28 * ramp(height, 0.0, 0.15))
    body = flat(points, normals, COVERAGE * spacing * 1.05, color * light.on(normals) * tone[:, None], opacity=0.97)
    around = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    line = _felt_point(form, around, np.full(100, 0.265), np.ones(100)) + 0.0012 * form.direction(around, np.zeros(100))
    edge = tube(line, 0.0009, 0.8 * _RIBBON * light.on(form.direction(around, np.zeros(100))), closed=True)
    line = _felt_point(form, around, np.full(100, 0.97), np.full(100, 0.985))
    top = tube(line, 0.0035, 0.98 * _FELT * light.on(unit(form.direction(around, np.zeros(100)) + form.axes[1])), closed=True)
    return joined(body, edge, top)


def _wide_point(form: HatForm, azimuth: FloatArray, share: FloatArray) -> FloatArray:
    base = form.local(form.points(azimuth, np.zeros_like(azimuth), 0.004))
    flat_reach = np.hypot(base[:, 0], base[:, 2])
    out = 0.072 * share
    curl = 0.020 * np.sin(azimuth) ** 2 - 0.016 * np.cos(azimuth) ** 2
    y = base[:, 1] + curl * share**2 - 0.003 * share + 0.003 * np.sin(3 * azimuth + 0.5 * np.pi) * share**2
    grown = (flat_reach + out) / flat_reach
    return form.origin + np.stack([base[:, 0] * grown, y, base[:, 2] * grown], 1) @ form.axes


def _wide_brim(form: HatForm) -> tuple[Gaussians, FloatArray]:
    spacing = 0.0104
    light = form.shape.light
    shares = np.linspace(0.03, 0.965, 10)
    counts = [round(2 * np.pi * (0.088 + 0.072 * s) / spacing) for s in shares]
    azimuth = np.concatenate([(np.arange(n) + (k % 2) / 2) * 2 * np.pi / n for k, n in enumerate(counts)])
    share = np.repeat(shares, counts)
    points = _wide_point(form, azimuth, share)
    up = np.broadcast_to(form.axes[1], points.shape)
    normals = _normals(points, _wide_point(form, azimuth + 0.03, share), _wide_point(form, azimuth, share + 0.05), up)
    contact = (0.68 + 0.32 * ramp(share, 0.0, 0.3))[:, None]
    above = flat(points + 0.001 * normals, normals, COVERAGE * spacing * 1.04, _FELT * light.on(normals) * contact, opacity=0.97)
    below = flat(points - 0.001 * normals, normals, COVERAGE * spacing * 1.04, 0.52 * _FELT * light.on(-normals) * contact, opacity=0.97)
    around = np.linspace(-np.pi, np.pi, 150, endpoint=False)
    edge = _wide_point(form, around, np.ones(150))
    lit = light.on(unit(form.direction(around, np.zeros(150)) + form.axes[1]))
    return joined(above, below, tube(edge, 0.0017, 0.82 * _FELT * lit, closed=True)), edge
