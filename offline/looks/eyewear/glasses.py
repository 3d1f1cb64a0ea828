"""Glasses: frames fitted to one face, with arms to the ears and translucent lenses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.looks.assembly import (
    attribute,
    changes,
    flat,
    joined,
    piece_by_piece,
    rigid_added,
    tube,
)
from offline.looks.curves import evenly, length_of, smooth, superellipse
from offline.looks.measured_head import HeadShape, centers_of, head_shape
from offline.numeric import normalized, ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians
from perse_live.regions import Region

_SIDES = (-1.0, 1.0)
_LENS_AHEAD = 0.0125  # metres between cornea and lens: opticians' usual vertex distance
_SKIN_GAP = 0.0025  # metres at least between frame and brows or cheeks
_LENS_WRAP = 1.6  # 1 / metres: how the front bends around the face, z = -wrap x^2
_LENS_TILT = np.radians(6)  # the lower edge is nearer to the cheeks
_ARM_GAP = 0.0022  # metres between arm and temple
_BEND = 0.032  # metres of an arm behind the ear


@dataclass(frozen=True)
class FrameStyle:
    """One pair of glasses; lengths in metres."""

    half_width: float
    """Of a lens."""
    half_height: float
    """Of a lens."""
    exponent: float
    """2: round; more: like a rectangle."""
    outward: float
    """Distance of the lens' centre from the eye's, away from the nose."""
    rim: float
    """Half the thickness of the rim; 0: rimless."""
    arm: float
    """Half the thickness of the arms."""
    color: tuple[float, float, float]
    """sRGB of the frame in white light."""
    shine: float
    """Brightness of the highlight on the frame's edge, [0, 1]."""
    lens: tuple[float, float, float]
    """sRGB of the lens."""
    lens_top: float
    """Opacity of the lens at its upper edge, [0, 1]."""
    lens_bottom: float
    """Opacity at its lower edge."""
    drop: float
    """Height of the bridge above the lens' centre."""
    outline: tuple[float, ...] = ()
    """How far the lens' edge lies from the superellipse, as factors at equal angles from the temple's side upwards."""
    lower: float = 0.003
    """How far the lens' centre is below the eye's."""


_ROUND = FrameStyle(
    0.0232,
    0.0225,
    2.1,
    0.0030,
    0.00065,
    0.0006,
    (0.66, 0.54, 0.34),
    0.75,
    (0.82, 0.88, 0.92),
    0.07,
    0.035,
    0.005,
)
_ACETATE = FrameStyle(
    0.0265,
    0.0185,
    3.8,
    0.0050,
    0.0019,
    0.0019,
    (0.055, 0.050, 0.050),
    0.38,
    (0.82, 0.88, 0.92),
    0.07,
    0.035,
    0.007,
)
_SUN = FrameStyle(
    0.0280,
    0.0218,
    2.9,
    0.0056,
    0.0017,
    0.0017,
    (0.060, 0.045, 0.040),
    0.38,
    (0.075, 0.062, 0.055),
    0.93,
    0.78,
    0.009,
)
_RIMLESS = FrameStyle(
    0.0255,
    0.0170,
    3.2,
    0.0042,
    0.0,
    0.0006,
    (0.62, 0.63, 0.66),
    0.7,
    (0.82, 0.88, 0.92),
    0.10,
    0.05,
    0.005,
)


def round_metal(avatar: Avatar) -> Attribute:
    """Thin round frames of brass."""
    return glasses(avatar, "glasses-round", "Round metal glasses", _ROUND)


def acetate(avatar: Avatar) -> Attribute:
    """Black rectangular frames."""
    return glasses(avatar, "glasses-black", "Black glasses", _ACETATE)


def sunglasses(avatar: Avatar) -> Attribute:
    """Dark, slightly translucent lenses."""
    return glasses(avatar, "sunglasses", "Sunglasses", _SUN)


def rimless(avatar: Avatar) -> Attribute:
    """Lenses without a rim, arms of wire."""
    return glasses(avatar, "glasses-rimless", "Rimless glasses", _RIMLESS)


def glasses(avatar: Avatar, name: str, label: str, style: FrameStyle) -> Attribute:
    """A pair of glasses on one face."""
    shape = head_shape(avatar)
    fit = _Fit(shape, style)
    parts = [_bridge(fit)]
    for side in _SIDES:
        parts += [_lens(fit, side), _rim(fit, side), _arm(fit, side)]
    frame = joined(*parts)
    # Order of appearance: from the bridge outwards, then the arms backwards
    x, _, z = frame.means.T
    appear = piece_by_piece(
        np.abs(x - fit.middle[0]) + 0.15 * np.clip(fit.depth - 0.012 - z, 0, None)
    )
    return attribute(
        name,
        label,
        "glasses",
        rigid_added(frame, appear=appear, solid=True),
        changes(avatar, brightness=_contact_shadow(fit)),
    )


class _Fit:
    """The fit of a pair of glasses to a face."""

    def __init__(self, shape: HeadShape, style: FrameStyle) -> None:
        self.shape, self.style = shape, style
        eyes = shape.avatar.rig.eye_centers.astype(np.float64)
        self.middle = eyes.mean(0)
        self.apart = float(abs(eyes[0, 0] - eyes[1, 0])) / 2 + style.outward
        self.height = float(self.middle[1]) - style.lower
        self.size = float(np.clip(self.apart - style.outward, 0.027, 0.034)) / 0.030
        self.depth = float(self.middle[2]) + shape.avatar.rig.eye_radius + _LENS_AHEAD
        for side in _SIDES:
            outline = self.outline(side, 64, 1.0)
            skin = shape.face_depth(outline[:, :2])
            self.depth += max(0.0, float((skin + _SKIN_GAP + style.rim - outline[:, 2]).max()))

    def outline(self, side: float, count: int, share: float) -> FloatArray:
        """The lens' edge (count, 3), from the temple's side upwards; share: 1 at the edge, 0 at the lens' centre."""
        style = self.style
        edge = superellipse(
            style.half_width * self.size, style.half_height * self.size, style.exponent, count
        )
        if style.outline:
            edge = evenly(edge * self._factor(edge)[:, None], count, closed=True)
        return self.on_front(side, edge * share)

    def radius(self, places: FloatArray) -> FloatArray:
        """Relative radius of points (N, 2) about a lens' centre: 1 on its edge."""
        style = self.style
        w, h = style.half_width * self.size, style.half_height * self.size
        inside = (
            np.abs(places[:, 0] / w) ** style.exponent + np.abs(places[:, 1] / h) ** style.exponent
        ) ** (1 / style.exponent)
        return inside / self._factor(places)

    def reach(self, height: float, towards: float) -> float:
        """Half width of the lens at a height above its centre; towards: 1 the temple, -1 the nose. Metres."""
        x = np.linspace(0, 1.6 * self.style.half_width * self.size, 200)
        within = self.radius(np.stack([towards * x, np.full(200, height)], 1)) <= 1
        return float(x[within].max()) if within.any() else 0.3 * self.style.half_width * self.size

    def _factor(self, places: FloatArray) -> FloatArray:
        if not self.style.outline:
            return np.ones(len(places))
        around = np.arctan2(places[:, 1], places[:, 0]) / (2 * np.pi) * len(self.style.outline)
        table = np.array([*self.style.outline, self.style.outline[0]])
        return np.interp(np.mod(around, len(self.style.outline)), np.arange(len(table)), table)

    def on_front(self, side: float, places: FloatArray) -> FloatArray:
        """Points (N, 3) of the front from coordinates (N, 2) about a lens' centre, x away from the nose."""
        out = self.apart + places[:, 0]
        y = self.height + places[:, 1]
        z = self.depth - _LENS_WRAP * out**2 + np.tan(_LENS_TILT) * places[:, 1]
        return np.stack([side * out + self.middle[0], y, z], 1)

    def normal(self, side: float, places: FloatArray) -> FloatArray:
        """Unit normals (N, 3) of the front at such coordinates."""
        out = self.apart + places[:, 0]
        return normalized(
            np.stack(
                [
                    2 * _LENS_WRAP * side * out,
                    np.full_like(out, -np.tan(_LENS_TILT)),
                    np.ones_like(out),
                ],
                1,
            )
        )


def _lens(fit: _Fit, side: float) -> Gaussians:
    style = fit.style
    spacing = 0.0032
    w, h = style.half_width * fit.size, style.half_height * fit.size
    wide = max((1.0, *style.outline))
    rows = np.arange(-wide * h, wide * h, spacing * 0.866)
    columns = np.arange(-wide * w, wide * w, spacing)
    grid = np.concatenate(
        [
            np.stack([columns + (k % 2) * spacing / 2, np.full(len(columns), y)], 1)
            for k, y in enumerate(rows)
        ]
    )
    grid = grid[fit.radius(grid) < 0.95]
    upper = np.clip((grid[:, 1] / h + 1) / 2, 0, 1)
    wanted = style.lens_bottom + (style.lens_top - style.lens_bottom) * upper
    # Neighbours overlap: about 3.4 splats lie over each point
    opacity = 1 - (1 - wanted) ** (1 / 3.4)
    normals = fit.normal(side, grid)
    diagonal = (grid[:, 0] * side * 0.7 + grid[:, 1]) / h
    streak = np.exp(-0.5 * ((diagonal - 0.55) / 0.16) ** 2) + 0.6 * np.exp(
        -0.5 * ((diagonal - 0.05) / 0.07) ** 2
    )
    light = fit.shape.light.on(np.tile([[0.0, 0.5, 0.8]], (len(grid), 1)))
    color = np.array(style.lens) * (0.85 + 0.3 * upper[:, None]) * light + 0.10 * streak[:, None]
    opacity = opacity + 0.018 * streak
    return flat(
        fit.on_front(side, grid), normals, 0.72 * spacing, color, opacity=opacity, thickness=0.0003
    )


def _rim(fit: _Fit, side: float) -> Gaussians:
    style, light = fit.style, fit.shape.light
    if style.rim == 0:
        edge = fit.outline(side, 72, 0.98)
        up = (edge[:, 1] - fit.height) / (style.half_height * fit.size)
        color = (0.55 + 0.3 * up[:, None]) * light.on(np.tile([[0.0, 0.3, 0.9]], (72, 1)))
        return tube(edge, 0.0004, color, opacity=0.38, closed=True)
    count = 96 if style.rim < 0.001 else 72
    edge = fit.outline(side, count, 1.0)
    return _bar(fit, edge, style.rim, closed=True)


def _bar(fit: _Fit, line: FloatArray, radius: float, *, closed: bool) -> Gaussians:
    """A bar of the frame's material along a line (N, 3): the dark body, and a highlight on the edge towards the light."""
    style, light = fit.style, fit.shape.light
    following = np.roll(line, -1, 0) if closed else line[1:]
    begin = line if closed else line[:-1]
    direction = normalized(following - begin)
    face = np.tile([[0.0, 0.25, 0.95]], (len(begin), 1))
    across = normalized(np.cross(direction, face))
    lit = np.where(across[:, 1:2] > 0, across, -across)
    base = np.array(style.color)
    if radius < 0.001:
        color = base * light.on(normalized(0.6 * lit + face)) * (0.75 + 0.45 * np.abs(lit[:, 1:2]))
        gleam = np.clip(base + style.shine * 0.4, 0, 1) * light.on(face)
        body = tube(line, radius, color, opacity=0.97, closed=closed)
        shift = 0.35 * radius * lit + 0.5 * radius * face
        ends = (
            np.concatenate([begin + shift, following[-1:] + shift[-1:]])
            if not closed
            else begin + shift
        )
        return joined(body, tube(ends, 0.4 * radius, gleam, opacity=0.55, closed=closed))
    color = base * light.on(face)
    parts: list[Gaussians] = []
    for offset in (-0.6, 0.0, 0.6):
        shift = offset * radius * lit
        ends = (
            begin + shift
            if closed
            else np.concatenate([begin + shift, following[-1:] + shift[-1:]])
        )
        parts.append(tube(ends, 0.52 * radius, color, closed=closed))
    gleam = (base + style.shine * (0.25 + 0.75 * lit[:, 1:2] ** 2)) * light.on(lit)
    shift = 0.55 * radius * lit + 0.75 * radius * normalized(face * np.array([0, 0, 1]))
    ends = begin + shift if closed else np.concatenate([begin + shift, following[-1:] + shift[-1:]])
    parts.append(tube(ends, 0.2 * radius, gleam, opacity=0.5, closed=closed))
    return joined(*parts)


def _bridge(fit: _Fit) -> Gaussians:
    style = fit.style
    y = style.drop * fit.size
    inner = -fit.reach(y, -1.0)
    ends = fit.on_front(1.0, np.array([[inner - 0.0002, y]]))[0]
    share = np.linspace(-1, 1, 9)
    half = ends[0] - fit.middle[0]
    line = np.stack(
        [
            fit.middle[0] + half * share,
            ends[1] + 0.0022 * (1 - share**2),
            ends[2] + 0.0012 * (1 - share**2),
        ],
        1,
    )
    nose = fit.shape.face_depth(line[:, :2]) + 0.0015 + max(style.rim, 0.0006)
    line[:, 2] = np.maximum(line[:, 2], nose.max() * (1 - share**2) + line[:, 2] * share**2)
    bridge = _bar(fit, smooth(line, 22), max(style.rim, style.arm), closed=False)
    if style.rim >= 0.001:
        return bridge
    pads = [_nose_pad(fit, side, float(ends[1])) for side in _SIDES]
    return joined(bridge, *pads)


def _nose_pad(fit: _Fit, side: float, y: float) -> Gaussians:
    """A wire from the rim to a small clear pad on the nose's side."""
    top = y - 0.009
    rim = fit.on_front(
        side, np.array([[-fit.style.half_width * fit.size * 0.97, top - fit.height]])
    )[0]
    pad = np.array([fit.middle[0] + side * 0.0085, top - 0.002, 0.0])
    pad[2] = min(float(fit.shape.face_depth(pad[None, :2])[0]) + 0.0012, rim[2] - 0.001)
    wire = smooth(np.array([rim, (rim + pad) / 2 + [0, 0, -0.0025], pad]), 8)
    soft = flat(
        pad[None],
        normalized(np.array([[side * 0.8, 0.1, 0.6]])),
        np.array([[0.0036, 0.0018]]),
        np.array([[0.85, 0.84, 0.8]]) * fit.shape.light.on(np.array([[0.0, 0.3, 0.9]])),
        opacity=0.35,
        along=np.array([[0.0, 1.0, -0.2]]),
    )
    return joined(_bar(fit, wire, 0.00045, closed=False), soft)


def _arm(fit: _Fit, side: float) -> Gaussians:
    """From the lens' outer edge around the temple to the ear, and down behind it."""
    style, shape = fit.style, fit.shape
    y = style.drop * fit.size
    outer = fit.reach(y, 1.0)
    begin = fit.on_front(side, np.array([[outer, y]]))[0]
    ear = (shape.charts.ears > 0.5) & (shape.template[:, 0] * side > 0)
    top = float(shape.vertices[ear, 1].max()) - 0.004
    back = float(shape.vertices[ear, 2].mean()) - 0.006
    z = np.linspace(begin[2] - 0.010, back, 12)
    heights = begin[1] + (top - begin[1]) * np.linspace(0.02, 1, 12) ** 1.2
    reach = shape.side_reach(np.stack([z, heights], 1), side) + _ARM_GAP + style.arm
    # an arm starts at the lens' edge and follows the temple on the shortest path
    x = np.maximum(reach, 0.0)
    x[0] = max(x[0], abs(float(begin[0] - fit.middle[0])) + 0.003)
    for _ in range(60):
        x[1:-1] = np.maximum(x[1:-1], (x[:-2] + x[2:]) / 2)
    hinge = float(x[0])
    bar = np.stack([side * x, heights, z], 1)
    down = np.array([[0, -0.006, -0.007], [0, -_BEND * 0.5, -0.013], [0, -_BEND, -0.017]]) + bar[-1]
    down[:, 0] -= side * np.array([0.001, 0.004, 0.007])
    corner = np.array(
        [
            [side * (abs(begin[0]) * 0.35 + hinge * 0.65), begin[1], begin[2] - 0.0015],
            [side * (hinge - 0.0004), begin[1], begin[2] - 0.005],
        ]
    )
    line = smooth(
        np.concatenate([begin[None], corner, bar, down]),
        max(20, int(0.001 + length_of(bar) / 0.0028)),
    )
    return _bar(fit, evenly(line, len(line), closed=False), style.arm, closed=False)


def _contact_shadow(fit: _Fit) -> FloatArray:
    """Factors (G,) of the skin's brightness: soft shadow below the rims and on the nose; sunglasses shade the eyes."""
    avatar, style = fit.shape.avatar, fit.style
    places = centers_of(avatar)
    skin = np.isin(avatar.regions, (Region.SKIN, Region.EYE, Region.LASHES)) & (
        places[:, 2] > -0.01
    )
    out = np.abs(places[:, 0] - fit.middle[0]) - fit.apart
    up = places[:, 1] - fit.height
    w, h = style.half_width * fit.size, style.half_height * fit.size
    radius = fit.radius(np.stack([out, up + 0.002], 1))
    rim = np.exp(-0.5 * ((radius - 1) * min(w, h) / 0.0035) ** 2)
    strength = 0.10 if style.rim < 0.001 else 0.15
    inside = ramp(radius, 1.05, 0.8) * (0.25 if style.lens_top > 0.5 else 0.03)
    return np.where(skin, 1 - np.maximum(strength * rim, inside), 1.0)
