"""From moves of landmarks to those of the skin around them and of the rig's vertices."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array, FloatArray

NEAR_EDGE = 0.004
"""Metres within which skin goes with the edge of a lid or a lip, and with parts of it that are farther than the nearest."""
_NEGLIGIBLE = 2e-5  # metres; smaller moves of vertices are left out


def follow_edge(
    points: FloatArray, edge: FloatArray, offsets: FloatArray, fades: float
) -> FloatArray:
    """Offsets (N, 3) of points (N, 3) beside an edge (E, 3) that moves by offsets (E, 3).

    They fall to exp(-1/2) at a distance of `fades` metres. A point takes the mean of the edge near it (softmin of the distance).
    """
    distance = np.linalg.norm(points[:, None] - edge[None], axis=2)
    nearest = distance.min(1, keepdims=True)
    weight = np.exp((nearest - distance) / NEAR_EDGE)
    return np.exp(-0.5 * (nearest / fades) ** 2) * (weight @ offsets) / weight.sum(1, keepdims=True)


def vertex_moves(spread: FloatArray, offsets: FloatArray) -> Float32Array:
    """Moves (U, 3), metres, of vertices that follow landmarks by `spread` (U, 478); offsets: (478, 3) of the landmarks."""
    moves = spread.astype(np.float32) @ offsets.astype(np.float32)
    moves[np.linalg.norm(moves, axis=1) < _NEGLIGIBLE] = 0
    return moves
