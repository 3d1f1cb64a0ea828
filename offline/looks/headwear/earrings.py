"""Earrings at the lobes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offline.looks.assembly import attribute, flat, joined, piece_by_piece, rigid_added, tube
from offline.looks.measured_head import HeadShape, head_shape
from offline.numeric import normalized
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians

_SIDES = (-1.0, 1.0)
_GOLD, _PEARL = np.array([0.83, 0.62, 0.28]), np.array([0.93, 0.90, 0.86])
_HOOP = 0.0125  # metres, radius


def studs(avatar: Avatar) -> Attribute:
    """A pearl at each ear."""
    return _pair(avatar, "earrings-pearl", "Pearl earrings", _pearl)


def hoops(avatar: Avatar) -> Attribute:
    """Rings of gold."""
    return _pair(avatar, "earrings-hoop", "Gold hoops", _hoop)


def lobe(shape: HeadShape, side: float) -> tuple[FloatArray, FloatArray]:
    """Where an ear is pierced, and the unit normal there: (3,), (3,); side: -1 or +1 along x."""
    ear = np.nonzero((shape.charts.ears > 0.5) & (shape.template[:, 0] * side > 0))[0]
    rest = shape.template[ear]
    lowest = rest[rest[:, 1].argmin()]
    near = ear[
        (np.abs(rest[:, 1] - lowest[1] - 0.006) < 0.005) & (shape.normals[ear, 0] * side > 0.3)
    ]
    near = near if len(near) else ear[rest[:, 1].argsort()[:6]]
    outer = near[np.argsort(-np.abs(shape.vertices[near, 0]))[:5]]
    normal = normalized((shape.normals[outer].mean(0) + np.array([side * 0.5, 0, 0.4]))[None])[0]
    return shape.vertices[outer].mean(0).astype(np.float64), normal


def _pair(
    avatar: Avatar, name: str, label: str, make: Callable[[HeadShape, float], Gaussians]
) -> Attribute:
    shape = head_shape(avatar)
    both = joined(*(make(shape, side) for side in _SIDES))
    return attribute(
        name,
        label,
        "earrings",
        rigid_added(both, appear=piece_by_piece(-both.means[:, 1]), solid=True),
    )


def _pearl(shape: HeadShape, side: float) -> Gaussians:
    place, normal = lobe(shape, side)
    center = place + 0.0030 * normal
    rows = 70
    k = np.arange(rows) + 0.5
    height, turn = 1 - 2 * k / rows, k * np.pi * (3 - np.sqrt(5))
    flat_radius = np.sqrt(1 - height**2)
    out = np.stack([flat_radius * np.cos(turn), height, flat_radius * np.sin(turn)], 1)
    lamp = normalized(np.array([[0.25, 0.6, 0.75]]))[0]
    gleam = np.clip(out @ lamp, 0, 1) ** 10
    color = (
        _PEARL * shape.light.on(out) * (0.62 + 0.38 * np.clip(out @ lamp, 0, 1)[:, None])
        + 0.25 * gleam[:, None]
    )
    return flat(center + 0.0032 * out, out, 0.0009, color, opacity=0.95, thickness=0.0003)


def _hoop(shape: HeadShape, side: float) -> Gaussians:
    place, normal = lobe(shape, side)
    top = place + 0.0012 * normal
    forwards = normalized(np.array([[side * 0.55, 0.0, 0.83]]))[0]
    angle = np.arange(72) * 2 * np.pi / 72
    out = np.cos(angle)[:, None] * np.array([0, 1.0, 0]) + np.sin(angle)[:, None] * forwards
    line = top + np.array([0, -_HOOP, 0]) + _HOOP * out
    facing = normalized(out + np.array([0.0, 0.2, 0.8]))
    band = 0.7 + 0.35 * np.cos(2 * angle - 0.8)[:, None]
    body = tube(line, 0.0011, _GOLD * shape.light.on(facing) * band, closed=True)
    glint = np.clip(np.cos(2 * angle - 0.5), 0, 1)[:, None] ** 3
    shine = tube(
        line + np.array([0, 0.0002, 0.0009]),
        0.0004,
        np.clip(_GOLD + 0.3, 0, 1) * shape.light.on(facing),
        closed=True,
        opacity=0.75 * glint[:, 0],
    )
    return joined(body, shine)
