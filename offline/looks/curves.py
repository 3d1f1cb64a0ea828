"""Lines in space: rounded outlines, smooth lines through points, even spacing."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from perse_live.arrays import FloatArray


def evenly(points: FloatArray, count: int, *, closed: bool) -> FloatArray:
    """`count` points at equal distances along a line (N, D); a closed one does not repeat its first point."""
    line = np.concatenate([points, points[:1]]) if closed else points
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    wanted = np.linspace(0, along[-1], count, endpoint=not closed)
    return np.stack([np.interp(wanted, along, line[:, k]) for k in range(line.shape[1])], 1)


def smooth(points: FloatArray, count: int) -> FloatArray:
    """`count` points along the cubic spline through points (N, D), about evenly spaced."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    fine = np.asarray(CubicSpline(along, points)(np.linspace(0, along[-1], 8 * count)))
    return evenly(fine, count, closed=False)


def superellipse(half_width: float, half_height: float, exponent: float, count: int) -> FloatArray:
    """A closed outline (count, 2) between an ellipse (exponent 2) and a rectangle, evenly spaced, from +x counter-clockwise."""
    angle = np.linspace(0, 2 * np.pi, 16 * count, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    outline = np.stack(
        [
            half_width * np.sign(c) * np.abs(c) ** (2 / exponent),
            half_height * np.sign(s) * np.abs(s) ** (2 / exponent),
        ],
        1,
    )
    return evenly(outline, count, closed=True)


def length_of(points: FloatArray) -> float:
    """Of an open line (N, D)."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
