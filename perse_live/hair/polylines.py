"""Strands as polylines of K points from root to tip: arc length, points along them, and what lies between two of them."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import BoolArray, FloatArray

_LEAST = 1e-9  # metres below which a segment has no direction


def segment_lengths(points: FloatArray) -> FloatArray:
    """Length of each segment (N, K - 1). points: (N, K, 3)."""
    return np.linalg.norm(np.diff(points, axis=-2), axis=-1)


def arc_lengths(points: FloatArray) -> FloatArray:
    """Arc length from the root to each point (N, K). points: (N, K, 3)."""
    so_far = np.zeros(points.shape[:-1])
    np.cumsum(segment_lengths(points), axis=-1, out=so_far[..., 1:])
    return so_far


def points_at(points: FloatArray, shares: FloatArray) -> FloatArray:
    """Points (N, M, 3) of polylines (N, K, 3) at shares (N, M) in [0, 1] of their arc length.

    A polyline of no length is its root everywhere.
    """
    length = arc_lengths(points)
    wanted = np.clip(shares, 0, 1) * length[:, -1:]
    last = points.shape[1] - 2
    below = np.clip((length[:, None, :] <= wanted[:, :, None]).sum(2) - 1, 0, last)
    rows = np.arange(len(points))[:, None]
    begin, end = length[rows, below], length[rows, below + 1]
    part = np.clip((wanted - begin) / np.maximum(end - begin, _LEAST), 0, 1)[..., None]
    return points[rows, below] * (1 - part) + points[rows, below + 1] * part


def resampled(points: FloatArray, count: int) -> FloatArray:
    """The same lines (N, count, 3) with `count` points evenly along their arc. points: (N, K, 3)."""
    shares = np.broadcast_to(np.linspace(0, 1, count), (len(points), count))
    return points_at(points, shares)


def between(first: FloatArray, last: FloatArray, share: float) -> FloatArray:
    """Strands (N, K, 3) that are `share` in [0, 1] of the way from `first` to `last`, both (N, K, 3) from the same root.

    The length changes evenly. The direction at an arc length from the root turns evenly from the one strand's there to the
    other's (spherical interpolation: Shoemake 1985), so that a strand which turns does not shrink on the way. Beyond the end of
    the shorter strand the direction is the longer one's: hair that grows hangs as it will, not as its old tip points. A strand
    whose partner has no length keeps its shape and shrinks. The roots are mixed.
    """
    steps = first.shape[1] - 1
    along = (np.arange(steps) + 0.5) / steps
    lengths = arc_lengths(first)[:, -1:], arc_lengths(last)[:, -1:]
    long = (1 - share) * lengths[0] + share * lengths[1]
    begin, has_begin = _directions_at(first, along * np.where(lengths[1] > 0, long, lengths[0]))
    end, has_end = _directions_at(last, along * np.where(lengths[0] > 0, long, lengths[1]))
    begin, end = (
        np.where(has_begin[..., None], begin, end),
        np.where(has_end[..., None], end, begin),
    )
    angle = np.arccos(np.clip((begin * end).sum(-1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    flat = sine < 1e-4  # alike, or opposite: then there is no shortest turn
    turned = np.where(
        flat,
        (1 - share) * begin + share * end,
        (np.sin((1 - share) * angle) * begin + np.sin(share * angle) * end)
        / np.where(flat, 1, sine),
    )
    out = np.empty(first.shape)
    out[:, 0] = (1 - share) * first[:, 0] + share * last[:, 0]
    moved = (long / steps)[..., None] * turned
    out[:, 1:] = out[:, :1] + np.cumsum(moved, axis=1)
    return out


def _directions_at(points: FloatArray, arcs: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Unit directions (N, M, 3) of polylines (N, K, 3) at arc lengths (N, M), and whether the polyline is as long as that."""
    so_far, last = arc_lengths(points), points.shape[1] - 2
    at = np.clip((so_far[:, None, :] <= arcs[:, :, None]).sum(2) - 1, 0, last)
    steps = np.diff(points, axis=1)
    units = steps / np.maximum(segment_lengths(points), _LEAST)[..., None]
    return units[np.arange(len(points))[:, None], at], arcs < so_far[:, -1:]
