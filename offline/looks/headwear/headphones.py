"""Headphones: a band over the compressed hair and a cup over each ear."""

from __future__ import annotations

import numpy as np

from offline.gaussian_layer import COVERAGE
from offline.looks.assembly import (
    Changes,
    attribute,
    changes,
    flat,
    joined,
    piece_by_piece,
    rigid_added,
    tube,
)
from offline.looks.headwear.hat_form import HatForm, hat_form
from offline.looks.measured_head import HeadShape, centers_of, head_shape
from offline.numeric import normalized, ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians

_SIDES = (-1.0, 1.0)
_LEATHER, _SHELL, _METAL = (
    np.array([0.085, 0.085, 0.09]),
    np.array([0.17, 0.17, 0.18]),
    np.array([0.62, 0.63, 0.65]),
)
_BAND = 0.013  # metres, half its width
_CUP = np.array([0.037, 0.032])  # metres, half height and half width
_SEEN = np.radians(50)  # from the crown, how far down the band is seen over hair
_DEPTH = 0.017  # metres of the shell beyond the cushion


def headphones(avatar: Avatar) -> Attribute:
    """Large black ones."""
    shape = head_shape(avatar)
    fit = _Fit(shape)
    band, cups = _band(fit), joined(*(_cup(fit, side) for side in _SIDES))
    # Order of appearance: the band from the crown down both sides, then the cups from their tops
    x, y, _ = (band.means - fit.center).T
    turn = np.abs(np.arctan2(x, y))
    # Parts hidden by hair appear quickly
    down = fit.high * np.interp(turn, (0, _SEEN, np.pi), (0, 1.6 * _SEEN, 2 * _SEEN))
    along = np.concatenate(
        [down, float(down.max()) + np.maximum(fit.ear[1] + _CUP[0] - cups.means[:, 1], 0)]
    )
    added = rigid_added(joined(band, cups), appear=piece_by_piece(along), solid=True)
    return attribute("headphones", "Headphones", "headphones", added, _covered(fit))


class _Fit:
    """Where headphones sit on a head."""

    def __init__(self, shape: HeadShape) -> None:
        self.shape = shape
        self.form: HatForm = hat_form(shape, front=0.5, back=-0.03)
        ear = shape.charts.ears > 0.5
        self.ear = np.abs(shape.vertices[ear]).mean(0) * np.array([1, 0, 0]) + shape.vertices[
            ear
        ].mean(0) * np.array([0, 1, 1])
        self.ear = self.ear + np.array([0, 0.002, 0.004])
        places = np.stack(
            [self.ear[2] + 0.03 * np.sin(np.arange(8)), self.ear[1] + 0.03 * np.cos(np.arange(8))],
            1,
        )
        self.skin = max(float(shape.side_reach(places, side).max()) for side in _SIDES) + 0.001
        tips = float(np.abs(shape.vertices[ear, 0]).max())
        self.cushion = float(np.clip(tips - self.skin + 0.001, 0.014, 0.022))
        self.center = np.array([0.0, self.ear[1] + 0.024, self.ear[2]])
        angle = np.linspace(-np.pi / 2, np.pi / 2, 41)
        around = np.stack([np.sin(angle), np.cos(angle), np.zeros_like(angle)], 1)
        reach = np.full(len(angle), 0.1)
        for _ in range(6):
            azimuth, elevation, distance = self.form.polar(self.center + reach[:, None] * around)
            reach = reach * (self.form.reach(azimuth, np.maximum(elevation, 0)) + 0.003) / distance
        wide, high = self.skin + 0.6 * self.cushion + 0.004, float(reach[20])
        own = 1 / np.sqrt((around[:, 0] / wide) ** 2 + (around[:, 1] / high) ** 2)
        inner = np.abs(angle) < np.radians(65)
        self.high = high * max(1.0, float((reach / own)[inner].max()))
        self.wide = wide

    def band(self, angle: FloatArray, along: FloatArray, extra: float) -> FloatArray:
        """Points (N, 3) of the band; angle from the crown, radians; along: metres forwards of its middle."""
        x, y = (self.wide + extra) * np.sin(angle), (self.high + extra) * np.cos(angle)
        back = -0.012 * np.cos(angle)
        return self.center + np.stack([x, y, along + back], 1)


def _band(fit: _Fit) -> Gaussians:
    light = fit.shape.light
    count, rows = 76, 7
    angle = np.tile(np.linspace(-1, 1, count) * np.radians(96), rows)
    row = np.repeat(np.linspace(-1, 1, rows), count)
    along = row * (_BAND - 0.002)
    width = 0.72 + 0.28 * np.cos(angle)
    points = fit.band(angle, along * width, 0.004)
    normals = normalized(np.stack([np.sin(angle), np.cos(angle), 0.5 * row], 1))
    spacing = float(np.linalg.norm(points[1] - points[0]))
    sigma = np.stack(
        [np.full(len(points), 0.62 * spacing), np.full(len(points), 0.72 * 2 * _BAND / rows)], 1
    )
    tangent = np.stack([np.cos(angle), -np.sin(angle), np.zeros_like(angle)], 1)
    sheen = 0.10 * np.exp(-0.5 * ((row - 0.35) / 0.25) ** 2) * ramp(np.cos(angle), 0.1, 0.9)
    outer = flat(
        points,
        normals,
        sigma,
        (_LEATHER + sheen[:, None]) * light.on(normals),
        opacity=0.97,
        along=tangent,
    )
    inside = fit.band(angle, along * width, -0.003)
    inner = flat(
        inside, -normals, sigma, 0.6 * _LEATHER * light.on(-normals), opacity=0.97, along=tangent
    )
    line = np.linspace(-1, 1, count) * np.radians(96)
    slim = 0.72 + 0.28 * np.cos(line)
    edges = [
        tube(
            fit.band(line, side * _BAND * slim, 0.0),
            0.0042,
            0.9 * _LEATHER * light.on(np.tile([[0.0, 0.4, 0.8 * side]], (count - 1, 1))),
            closed=False,
        )
        for side in _SIDES
    ]
    return joined(outer, inner, *edges)


def _cup(fit: _Fit, side: float) -> Gaussians:
    light = fit.shape.light
    spacing = 0.0052
    parts: list[Gaussians] = []
    base = np.array([side * fit.skin, fit.ear[1], fit.ear[2]])

    def at(out: FloatArray, share: FloatArray, angle: FloatArray) -> FloatArray:
        return base + np.stack(
            [side * out, share * _CUP[0] * np.cos(angle), share * _CUP[1] * np.sin(angle)], 1
        )

    # Out, share of the radius, slope of the normal, colour
    profile: list[tuple[float, float, float, FloatArray]] = []
    for turn in np.linspace(-0.35, 1.0, 6) * np.pi / 2:  # the cushion's outside, round
        profile.append(
            (
                fit.cushion * (0.5 + 0.5 * np.sin(turn)),
                0.90 + 0.10 * np.cos(turn),
                float(np.sin(turn)),
                _LEATHER,
            )
        )
    for share in (0.99, 0.98, 0.95):
        profile.append((fit.cushion + 0.0035 + _DEPTH * (0.99 - share) * 6, share, 0.25, _SHELL))
    for share in np.arange(0.90, 0.0, -0.115):
        profile.append(
            (
                fit.cushion + 0.0035 + _DEPTH * np.sqrt(max(0.0, 1 - share**2)) ** 0.8,
                share,
                1 - 0.5 * share,
                _SHELL,
            )
        )
    for out, share, slope, color in profile:
        count = max(6, round(2 * np.pi * share * float(_CUP.mean()) / spacing))
        angle = np.arange(count) * 2 * np.pi / count
        points = at(np.full(count, out), np.full(count, share), angle)
        rim = np.sqrt(max(0.0, 1 - slope**2))
        normals = normalized(
            np.stack([np.full(count, side * slope), rim * np.cos(angle), rim * np.sin(angle)], 1)
        )
        shade = light.on(normals) * (1.25 if color is _SHELL else 1.0)
        parts.append(
            flat(
                points,
                normals,
                COVERAGE * spacing * 1.05,
                color * shade,
                opacity=0.97,
                thickness=0.001,
            )
        )
    around = np.arange(60) * 2 * np.pi / 60
    ring = at(np.full(60, fit.cushion + 0.0035 + _DEPTH * 0.72), np.full(60, 0.62), around)
    glint = (
        (0.55 + 0.35 * np.cos(around + 0.6)[:, None])
        * _METAL
        * light.on(np.tile([[side * 0.7, 0.4, 0.4]], (60, 1)))
    )
    parts.append(tube(ring, 0.0009, glint, closed=True, opacity=0.85))
    top = fit.band(np.array([side * np.radians(80)]), np.zeros(1), 0.003)[0]
    foot = base + np.array([side * (fit.cushion + 0.006), 0.014, 0.0])
    stem = np.linspace(top, foot, 8)
    for offset in (-0.005, 0.0, 0.005):
        parts.append(
            tube(
                stem + np.array([0.0, 0.0, offset]),
                0.0034,
                0.75 * _METAL * light.on(np.tile([[side * 0.8, 0.1, 0.3]], (7, 1))),
                closed=False,
            )
        )
    return joined(*parts)


def _covered(fit: _Fit) -> Changes:
    """Hair under the band and the cups."""
    places = centers_of(fit.shape.avatar)
    local = places - fit.center
    angle = np.arctan2(local[:, 0], local[:, 1])
    over = np.hypot(local[:, 0] / fit.wide, local[:, 1] / fit.high) - 1
    along = np.abs(local[:, 2] + 0.012 * np.cos(angle))
    band = (
        ramp(over, -0.10, -0.02) * ramp(along, _BAND + 0.012, _BAND - 0.001) * (np.abs(angle) < 1.8)
    )
    disc = np.hypot((places[:, 1] - fit.ear[1]) / _CUP[0], (places[:, 2] - fit.ear[2]) / _CUP[1])
    cup = ramp(disc, 1.25, 1.02) * ramp(np.abs(places[:, 0]) - fit.skin, -0.002, 0.003)
    # hair in front of the cups or next to them is compressed under them, above their lower edge
    out, above = np.abs(places[:, 0]) - fit.skin, (places[:, 1] - fit.ear[1]) / _CUP[0]
    near = ramp(np.abs(places[:, 2] - fit.ear[2]), 2.6 * _CUP[1], 1.9 * _CUP[1])
    pressed = ramp(out, 0.004, 0.009) * ramp(above, -1.25, -0.95) * ramp(above, 1.5, 1.1) * near
    hidden = np.maximum.reduce([band, cup, pressed])
    shadow = (
        0.45
        * np.exp(-0.5 * (np.clip(disc - 1, 0, None) / 0.14) ** 2)
        * ramp(np.abs(places[:, 0]), 0.05, 0.062)
    )
    return changes(
        fit.shape.avatar, shown=np.where(fit.shape.hair, 1 - hidden, 1.0), brightness=1 - shadow
    )
