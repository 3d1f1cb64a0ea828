"""Spreading what landmarks do over the whole face: one fixed matrix from landmark offsets to vertex offsets.

Method: linear radial basis functions with a constant term and smoothing (Wahba 1990; Carr et al., SIGGRAPH 2001), solved once
for unit offsets of every landmark, so that applying it is a matrix product. Distances are measured with the jaw a little open:
otherwise the upper lip would follow the lower one.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression
from perse_live.head.rig import HeadRig, Part, expressed, vertices_of

_JAW_OPEN = 0.35
_SMOOTHING = 2e-4  # metres, on the kernel's diagonal: a lone landmark's noise is halved
_REACH = 0.02  # metres from the nearest landmark at which the effect has fallen to exp(-1/2)
_NOTHING = 0.02  # share below which a vertex is left out
_FOLLOW = (
    Part.SKIN,
    Part.BODY,
    Part.EYE_CAVITY_LEFT,
    Part.EYE_CAVITY_RIGHT,
    Part.MOUTH_CAVITY,
    Part.LASHES,
)
_STAY = (Part.EYE_LEFT, Part.EYE_RIGHT, Part.TONGUE, Part.TEETH_UPPER, Part.TEETH_LOWER)


class OnMesh(Protocol):
    """Landmarks on a mesh, such as `LandmarkModel`."""

    @property
    def vertex_ids(self) -> Int32Array:
        """(478, 3) corners of the triangle that carries each landmark."""
        ...

    @property
    def barycentrics(self) -> Float32Array:
        """(478, 3)."""
        ...


def spread_matrix(rig: HeadRig, landmarks: OnMesh) -> tuple[Int32Array, np.ndarray]:
    """How far each vertex follows each landmark (0.3 s).

    rig: in the numbering of `landmarks`; the mean head does for everybody. Returns the numbers of the vertices that move, (U,)
    int32, and the matrix (U, 478) float16: vertex offsets (U, 3) = matrix @ landmark offsets (478, 3). The columns of the
    face's outline and of the irises are 0 (the one slides over the skin, the others are gaze), and so are eyeballs, teeth and
    tongue, which never move.
    """
    return _spread(rig, landmarks, (*lm.FACE_OVAL, *lm.IRIS))


def spread_matrix_with_outline(rig: HeadRig, landmarks: OnMesh) -> tuple[Int32Array, np.ndarray]:
    """As `spread_matrix`, but the face's outline is followed too.

    For offsets whose outline says only what lies across it, as those of a frame's fit do; the outline's vertices stay where it
    says 0. This brings the mean landmark error of self-reenactment down by 2 %, that of the pose by 3 %, and the outline, where
    a dark background costs most, to where it is seen (+0.5 dB).
    """
    return _spread(rig, landmarks, lm.IRIS)


def _spread(
    rig: HeadRig, landmarks: OnMesh, left_out: tuple[int, ...]
) -> tuple[Int32Array, np.ndarray]:
    vertices = expressed(rig, expression(jawOpen=_JAW_OPEN)).astype(np.float64)
    used = np.setdiff1d(np.arange(lm.LANDMARK_COUNT), left_out)
    sites = (vertices[landmarks.vertex_ids[used]] * landmarks.barycentrics[used, :, None]).sum(1)
    moves = vertices_of(rig, *_FOLLOW) & ~vertices_of(rig, *_STAY)
    ids = np.nonzero(moves)[0]
    to_sites = _distances(vertices[ids], sites)
    share = np.exp(-0.5 * (to_sites.min(1) / _REACH) ** 2)
    near = share > _NOTHING
    ids, to_sites, share = ids[near], to_sites[near], share[near]

    count = len(used)
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = _SMOOTHING * np.eye(count) - _distances(sites, sites)
    system[count, count] = 0
    weights = np.linalg.solve(system, np.eye(count + 1, count))
    matrix = np.zeros((len(ids), lm.LANDMARK_COUNT), np.float16)
    matrix[:, used] = share[:, None] * (np.append(-to_sites, np.ones((len(ids), 1)), 1) @ weights)
    return ids.astype(np.int32), matrix


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """(N, M) distances of points (N, 3) from points (M, 3), without an array of all differences; exact to a nanometre."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(squared, 0))
