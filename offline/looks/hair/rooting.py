"""Roots for hair that is a cloud of Gaussians: each is traced against the direction of the strands down to the scalp."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.lift.strand_directions import unseen_direction
from offline.looks.hair.grown_strands import SkinField, roots_on
from offline.looks.measured_head import HeadShape
from offline.numeric import normalized
from perse_live.arrays import FloatArray
from perse_live.hair.guides import POINTS, RootedHair
from perse_live.hair.polylines import resampled
from perse_live.rotations import to_matrix

_STEP = 0.006  # metres of a trace
_STEPS = 70  # 42 cm
_DESCENT = 0.8  # metres towards the scalp for each metre along the strand: hair leaves the skin at about 40 degrees
_AT_ROOT = 0.0015  # metres above the scalp at which a trace ends
_CLEAR = 0.001  # metres above bare skin, over which hair may lie
_AXES = 3000  # Gaussians whose long axes say how strands run
_AROUND = 12  # of them, over which directions are averaged
_PRIOR = 0.6  # how much the direction from the whorl downwards counts against an axis along it
_FACE = np.array([-np.inf, -0.11, -0.06])  # metres, head frame: least coordinates of the face
_WITHIN = 0.008  # metres from the nearest of these Gaussians that count as within the hair
_GUIDE_SPACING = 0.011  # metres between roots of guides, on the template
_SEED = 19


def rooted(
    field: SkinField, places: FloatArray, quats: FloatArray, scales: FloatArray
) -> RootedHair:
    """Lines from the scalp to Gaussians of hair (1 s for 15,000).

    field: of the head; places, quats, scales: (N, 3) metres, (N, 4) wxyz, (N, 3) metres, head frame at rest. A line runs against
    the Gaussians' long axes, of which those that lie along `unseen_direction` count most, and sinks towards the scalp where it
    passes over it; before the face it stays within the hair, so that no strand crosses bare skin.
    """
    count = len(places)
    if not count:
        return RootedHair(np.zeros((0, 3)), np.zeros((0, POINTS, 3)))
    flow = _Flow(places, quats, scales)
    lines = np.repeat(places[None].astype(np.float64), _STEPS + 2, 0)
    going = np.arange(count)
    for step in range(_STEPS):
        here = lines[step, going]
        foot = field.foot(here)
        arrived = (foot.heights < _AT_ROOT) & (foot.scalp > 0.5)
        lines[step + 1 :, going[arrived]] = here[arrived]
        going, here = going[~arrived], here[~arrived]
        if not len(going):
            break
        normals, heights, scalp = (
            part[~arrived] for part in (foot.normals, foot.heights, foot.scalp)
        )
        sink = np.where(scalp > 0.5, np.minimum(np.maximum(heights, 0), _DESCENT * _STEP), 0)
        there = here - _STEP * flow.at(here) - sink[:, None] * normals
        before = (scalp <= 0.5) & (there > _FACE).all(1)
        there[before] = flow.within(there[before])
        least = np.where(scalp > 0.5, 0.0, _CLEAR)
        lines[step + 1 :, going] = field.lifted(there, least)
    roots, template = field.nearest_scalp(lines[-2])
    lines[-1] = roots
    return RootedHair(template, resampled(np.moveaxis(lines[::-1], 0, 1), POINTS))


def guide_roots(shape: HeadShape) -> FloatArray:
    """(R, 3) metres on the template: roots of guide strands, the same for everybody."""
    rng = np.random.default_rng(_SEED)
    mean_head = replace(shape, vertices=shape.template)
    on = roots_on(mean_head, shape.charts.scalp, _GUIDE_SPACING, rng)
    return on.interpolate(shape.template, shape.avatar.rig.triangles).astype(np.float64)


class _Flow:
    """Which way hair runs, from root to tip."""

    def __init__(self, places: FloatArray, quats: FloatArray, scales: FloatArray) -> None:
        rng = np.random.default_rng(_SEED)
        some = rng.permutation(len(places))[:_AXES]
        longest = scales[some].argmax(1)
        axes = np.take_along_axis(to_matrix(quats[some]), longest[:, None, None], 2)[:, :, 0]
        middle = np.sort(scales[some], 1)
        sure = 1 - middle[:, 1] / middle[:, 2]  # a round Gaussian has no direction
        tensors = sure[:, None, None] * axes[:, :, None] * axes[:, None, :]
        near = KDTree(places[some]).query(places[some], k=min(_AROUND, len(some)))[1]
        self._tensors = tensors[near.reshape(len(some), -1)].mean(1)
        self._tree, self._places = KDTree(places[some]), places[some]

    def at(self, places: FloatArray) -> FloatArray:
        """Unit directions (N, 3) at places (N, 3)."""
        prior = unseen_direction(places)
        tensors = self._tensors[np.asarray(self._tree.query(places)[1])]
        return normalized(_PRIOR * prior + np.einsum("nij,nj->ni", tensors, prior))

    def within(self, places: FloatArray) -> FloatArray:
        """Places (N, 3) moved towards the hair until they are within it."""
        distance, near = self._tree.query(places)
        beyond = np.maximum(1 - _WITHIN / np.maximum(distance, 1e-9), 0)
        return places - beyond[:, None] * (places - self._places[near])
