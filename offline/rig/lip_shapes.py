"""Corrections for round mouths: Anny's jawOpen pulls the lower lip to a point, its mouthFunnel opens a wide diamond.

They are computed once, on the mean head: offsets of the lips' landmarks that bring the outer and inner lip rings onto ellipses.
Every head gets the same offsets, as an action's error is the same on all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.spatial import KDTree

from offline.rig.landmark_moves import NEAR_EDGE, follow_edge, vertex_moves
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.head import landmarks as lm
from perse_live.head.expressions import index
from perse_live.head.fit import FrameFit
from perse_live.head.landmarks import LandmarkModel, mesh_landmarks
from perse_live.head.rig import HeadRig, Part, triangles_of

BESIDE_LIPS = 0.012
"""Metres from the lips at which the displacement of the skin that follows them has fallen to exp(-1/2)."""
_ROUNDS = 5  # in which displacements around the lips are smoothed


@dataclass(frozen=True)
class _Shape:
    """Shape of the opening at full strength of an action."""

    action: str
    width: float  # of the mouth, relative to that under the action
    corners: float  # least thickness of the lips at the corners, relative to the middle
    upper: bool  # whether the upper lip is rounded too


_SHAPES = (
    _Shape("jawOpen", 0.93, 0.35, upper=False),
    _Shape("mouthFunnel", 0.86, 0.55, upper=True),
)


def rounding(model: LandmarkModel) -> dict[int, Float32Array]:
    """Corrections of the landmarks by action, (478, 3) metres at full strength."""
    return {
        index(shape.action): _offsets(model.neutral + model.actions[index(shape.action)], shape)
        for shape in _SHAPES
    }


def with_round_mouth(
    rig: HeadRig, model: LandmarkModel, spread_ids: Int32Array, spread: FloatArray
) -> HeadRig:
    """The rig with a mouth that opens round. spread_ids: (U,) vertices that follow landmarks; spread: (U, 478) their weights."""
    actions = rig.actions.copy()
    for action, offsets in rounding(model).items():
        actions[action] = _smoothed(
            rig, actions[action] + _moves(rig, offsets, model, spread_ids, spread), model
        )
    return replace(rig, actions=actions)


def with_own_round_mouth(
    rig: HeadRig,
    expression: FloatArray,
    model: LandmarkModel,
    spread_ids: Int32Array,
    spread: FloatArray,
) -> HeadRig:
    """The same for the displacement of a person's lips at rest: lips that taper to a point must not open to one.

    expression: (52,) of the photo, under which nothing changes. The mouth's width stays.
    """
    vertices, actions = rig.vertices.copy(), rig.actions.copy()
    for shape in _SHAPES:
        action = index(shape.action)
        offsets = _offsets(
            mesh_landmarks(model, rig.vertices + rig.actions[action]),
            replace(shape, width=1.0, corners=0.0),
        )
        moves = _moves(rig, offsets, model, spread_ids, spread)
        actions[action] += moves
        vertices -= np.float32(expression[action]) * moves
    return replace(rig, vertices=vertices, actions=actions)


def rounded_frame(
    frame: FrameFit, before: HeadRig, after: HeadRig, model: LandmarkModel
) -> FrameFit:
    """A picture's fit, made with the original actions, converted to the corrected ones: its landmarks stay in place."""
    rows = [index(shape.action) for shape in _SHAPES]
    done = np.tensordot(frame.expression[rows], after.actions[rows] - before.actions[rows], 1)
    return replace(
        frame, residual=(frame.residual - mesh_landmarks(model, done)).astype(np.float32)
    )


def _moves(
    rig: HeadRig,
    offsets: Float32Array,
    model: LandmarkModel,
    spread_ids: Int32Array,
    spread: FloatArray,
) -> Float32Array:
    """(V, 3) of the vertices, such that the lips' landmarks move by `offsets` (478, 3)."""
    lips, moved = list(lm.LIPS), np.zeros_like(rig.vertices)
    moved[spread_ids] = vertex_moves(spread, offsets)
    asked = offsets.copy()  # smooth interpolation falls short where neighbours differ much
    asked[lips] += (offsets - mesh_landmarks(model, moved))[lips]
    moved[spread_ids] = vertex_moves(spread, asked)
    return moved


def _smoothed(rig: HeadRig, moves: Float32Array, model: LandmarkModel) -> Float32Array:
    """Displacements of the vertices (V, 3), smoothed on the lips: the lower lip's middle would be pulled down to a point.

    The lips touch each other only at the corners, so that what opens between them stays.
    """
    triangles = triangles_of(rig, Part.SKIN, Part.MOUTH_CAVITY)
    ends = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    count = len(rig.vertices)
    links = sp.csr_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    links = (links + links.T).astype(bool).astype(np.float64)
    mean = sp.diags(1 / np.maximum(np.asarray(links.sum(1)).ravel(), 1)) @ links
    lips = mesh_landmarks(model, rig.vertices)[list(lm.LIPS)]
    share = np.exp(-0.5 * (np.asarray(KDTree(lips).query(rig.vertices)[0]) / NEAR_EDGE) ** 2)[
        :, None
    ]
    share[np.asarray(links.sum(1)).ravel() == 0] = 0
    for _ in range(_ROUNDS):
        moves = moves + 0.5 * share * (mean @ moves - moves)
    return moves.astype(np.float32)


def _offsets(points: FloatArray, shape: _Shape) -> Float32Array:
    """points: (478, 3) of the mean head under an action."""
    offsets = np.zeros((lm.LANDMARK_COUNT, 3))
    outer, inner = (
        points[list(corners)] for corners in (lm.OUTER_LIP_CORNERS, lm.INNER_LIP_CORNERS)
    )
    middle = outer.mean(0)
    half = abs(float(outer[0, 0] - outer[1, 0])) / 2
    thick = (
        float(np.linalg.norm(points[0] - points[13]) + np.linalg.norm(points[17] - points[14])) / 2
    )
    out_width = shape.width * half
    in_width = min(
        shape.width * abs(float(inner[0, 0] - inner[1, 0])) / 2, out_width - shape.corners * thick
    )
    for corners, lips, width in (
        (lm.OUTER_LIP_CORNERS, (lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER), out_width),
        (lm.INNER_LIP_CORNERS, (lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER), in_width),
    ):
        start = points[list(corners)]
        was = abs(float(start[0, 0] - start[1, 0])) / 2
        level = float(start[:, 1].mean())
        scale = width / was
        offsets[list(corners), 0] = (scale - 1) * (start[:, 0] - middle[0])
        for upper, lip in zip((True, False), lips, strict=True):
            if upper and not shape.upper:
                offsets[list(lip), 0] = (scale - 1) * (points[list(lip), 0] - middle[0])
                continue
            ids = np.array(lip)
            peak = float(points[ids[len(ids) // 2], 1]) - level
            # Landmarks of lips are evenly spaced around an open mouth
            angle = np.pi * np.arange(1, len(ids) + 1) / (len(ids) + 1)
            sign = np.sign(points[ids[0], 0] - middle[0])
            offsets[ids, 0] = middle[0] + sign * width * np.cos(angle) - points[ids, 0]
            offsets[ids, 1] = level + peak * np.sin(angle) - points[ids, 1]
    ring = [*lm.OUTER_LIP_RING, *lm.INNER_LIP_RING]
    rest = np.setdiff1d(np.arange(lm.LANDMARK_COUNT), (*ring, *lm.IRIS))
    offsets[rest] = follow_edge(points[rest], points[ring], offsets[ring], BESIDE_LIPS)
    return offsets.astype(np.float32)
