"""Displacements that carry the Gaussians of one part onto another: sliced optimal transport between two point clouds."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import FloatArray

_ROUNDS, _SEED = 60, 17


def travel(begin: FloatArray, end: FloatArray) -> FloatArray:
    """Displacements (N, D) of points `begin` (N, D) so that they are distributed as `end` (M, D).

    Along random directions the points are moved to the quantiles of the others, again and again (sliced Wasserstein flow:
    Pitie et al. 2007, Bonneel et al. 2015). Neighbours stay neighbours, the numbers may differ, 10,000 points take 0.2 s.
    """
    if not len(begin) or not len(end):
        return np.zeros_like(begin)
    rng = np.random.default_rng(_SEED)
    middle, goal = begin.mean(0), end.mean(0)
    points = begin - middle + goal
    quantiles = (np.arange(len(begin)) + 0.5) / len(begin)
    known = (np.arange(len(end)) + 0.5) / len(end)
    for _ in range(_ROUNDS):
        directions = np.linalg.qr(rng.standard_normal((begin.shape[1], begin.shape[1])))[0]
        steps = np.zeros_like(points)
        for direction in directions.T:
            along = points @ direction
            wanted = np.interp(quantiles, known, np.sort(end @ direction))
            moved = np.empty(len(points))
            moved[np.argsort(along)] = wanted
            steps += (moved - along)[:, None] * direction
        points = points + steps
    return points - begin
