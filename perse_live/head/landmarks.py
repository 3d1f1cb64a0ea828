"""MediaPipe's 478 face landmarks as points of the head rig, and how identity and expression move them.

The table is made by `python -m offline.tools.landmark_embedding` and ships with the package. "Right" and "left" are the
subject's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np

from perse_live.arrays import Float32Array, FloatArray, Int32Array

LANDMARK_COUNT = 478

FACE_OVAL = (
    10,
    338,
    297,
    332,
    284,
    251,
    389,
    356,
    454,
    323,
    361,
    288,
    397,
    365,
    379,
    378,
    400,
    377,
    152,
    148,
    176,
    149,
    150,
    136,
    172,
    58,
    132,
    93,
    234,
    127,
    162,
    21,
    54,
    103,
    67,
    109,
)
"""Outline of the face, clockwise in the picture from the middle of the forehead; slides over the skin when the head turns."""
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
"""Edge of the lids: outer corner, lower lid, inner corner, upper lid."""
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
"""Edge of the lids: outer corner, lower lid, inner corner, upper lid."""
UPPER_LID_RIGHT = (246, 161, 160, 159, 158, 157, 173)
LOWER_LID_RIGHT = (7, 163, 144, 145, 153, 154, 155)
UPPER_LID_LEFT = (466, 388, 387, 386, 385, 384, 398)
LOWER_LID_LEFT = (249, 390, 373, 374, 380, 381, 382)
"""Edges of the lids without the corners, from the outer one inwards, upper and lower point by point."""
UPPER_LID_EDGES = ((263, *UPPER_LID_LEFT, 362), (33, *UPPER_LID_RIGHT, 133))
LOWER_LID_EDGES = ((263, *LOWER_LID_LEFT, 362), (33, *LOWER_LID_RIGHT, 133))
"""The same with the corners: left, right."""
RIGHT_IRIS = (468, 469, 470, 471, 472)
"""Centre, then four points of its rim."""
LEFT_IRIS = (473, 474, 475, 476, 477)
"""Centre, then four points of its rim."""
IRIS = RIGHT_IRIS + LEFT_IRIS
RIGHT_BROW = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
"""Upper edge from the temple to the nose, then lower edge likewise."""
LEFT_BROW = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
"""Upper edge from the temple to the nose, then lower edge likewise."""
INNER_LIP_UPPER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
"""From the subject's right to left, without the corners."""
INNER_LIP_LOWER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
"""From the subject's right to left, without the corners."""
INNER_LIP_CORNERS = (78, 308)
INNER_LIPS = INNER_LIP_UPPER + INNER_LIP_LOWER + INNER_LIP_CORNERS
OUTER_LIP_UPPER = (185, 40, 39, 37, 0, 267, 269, 270, 409)
OUTER_LIP_LOWER = (146, 91, 181, 84, 17, 314, 405, 321, 375)
OUTER_LIP_CORNERS = (61, 291)
OUTER_LIP_RING = (
    OUTER_LIP_CORNERS[0],
    *OUTER_LIP_UPPER,
    OUTER_LIP_CORNERS[1],
    *reversed(OUTER_LIP_LOWER),
)
"""Around the red of both lips."""
INNER_LIP_RING = (
    INNER_LIP_CORNERS[0],
    *INNER_LIP_UPPER,
    INNER_LIP_CORNERS[1],
    *reversed(INNER_LIP_LOWER),
)
"""Around the opening of the mouth."""
UPPER_LIP_RING = (
    OUTER_LIP_CORNERS[0],
    *OUTER_LIP_UPPER,
    OUTER_LIP_CORNERS[1],
    INNER_LIP_CORNERS[1],
    *reversed(INNER_LIP_UPPER),
    INNER_LIP_CORNERS[0],
)
"""Around the red of the upper lip."""
LOWER_LIP_RING = (
    OUTER_LIP_CORNERS[0],
    *OUTER_LIP_LOWER,
    OUTER_LIP_CORNERS[1],
    INNER_LIP_CORNERS[1],
    *reversed(INNER_LIP_LOWER),
    INNER_LIP_CORNERS[0],
)
"""Around the red of the lower lip."""
LIPS = (
    INNER_LIPS
    + OUTER_LIP_UPPER
    + OUTER_LIP_LOWER
    + OUTER_LIP_CORNERS
    + (
        72,
        73,
        74,
        11,
        302,
        303,
        304,
        38,
        12,
        268,
        271,
        272,
        41,
        42,
        183,
        184,
        407,
        408,
        76,
        62,
        306,
        292,
        77,
        90,
        180,
        85,
        16,
        315,
        404,
        320,
        307,
        96,
        89,
        179,
        86,
        15,
        316,
        403,
        319,
        325,
    )
)
"""The whole red of the lips."""
EYE_CORNERS = (33, 263)
"""Outer corners of the right and the left eye; their distance in the picture is the unit of every error."""
CHIN, FOREHEAD_TOP = 152, 10
"""Lowest point of the chin, and the highest of the face's outline."""
BROW_PEAKS = (105, 334)
"""The highest point of the right and the left brow."""
FACE_SIDES = (234, 454)
"""Of the face's outline, before the right and the left ear."""
HAIRLINE = (*FACE_OVAL[-4:], *FACE_OVAL[:5])
"""The top of the face's outline, from the subject's right to left."""


@dataclass(frozen=True, eq=False)
class LandmarkModel:
    """The 478 landmarks on the rig: positions, and displacements by identity and expression; metres, head frame."""

    vertex_ids: Int32Array
    """(478, 3) corners, in the rig's vertex numbering, of the triangle that a landmark lies on."""
    barycentrics: Float32Array
    """(478, 3) weights of the corners, in [0, 1], sum 1."""
    sigma: Float32Array
    """(478,) RMS error of a landmark where the rig is known exactly, in distances between the outer eye corners."""
    neutral: Float32Array
    """(478, 3) on the mean head at rest, looking straight ahead."""
    identity_basis: Float32Array
    """(K, 478, 3) displacement by one standard deviation of each identity component."""
    actions: Float32Array
    """(52, 478, 3) displacement by each action; the eyeLook actions turn the iris landmarks (linearised)."""
    eye_centers: Float32Array
    """(2, 3) centres of the mean head's left and right eyeball."""
    eye_center_basis: Float32Array
    """(K, 2, 3) their displacement by the identity components."""
    eye_radius: Float32Array
    """() radius of the mean head's eyeballs."""
    eye_radius_basis: Float32Array
    """(K,) its change by the identity components (linearised)."""
    vertex_count: Int32Array
    """() vertices of the rig that `vertex_ids` belongs to."""


@lru_cache(maxsize=1)
def load_landmark_model() -> LandmarkModel:
    """The table that ships with the package (5 ms, kept in memory)."""
    with (
        as_file(files("perse_live.head") / "landmark_model.npz") as path,
        np.load(path, allow_pickle=False) as stored,
    ):
        return LandmarkModel(
            **{field.name: _wide(stored[field.name]) for field in fields(LandmarkModel)}
        )


def mirrored(line: Sequence[int]) -> tuple[int, ...]:
    """The landmarks on the other side of the face, in the same order."""
    neutral = load_landmark_model().neutral
    there = neutral[list(line)] * np.array([-1, 1, 1])
    return tuple(np.linalg.norm(neutral - there[:, None], axis=2).argmin(1).tolist())


def _wide(array: np.ndarray) -> np.ndarray:
    wide = np.array(array, np.float32 if array.dtype.kind == "f" else np.int32, order="C")
    wide.setflags(write=False)
    return wide


def identity_landmarks(model: LandmarkModel, identity: FloatArray) -> Float32Array:
    """The landmarks of one person at rest.

    identity: (k,) coefficients, k <= K. Returns (478, 3) float32 metres, head frame.
    """
    c = np.asarray(identity, np.float32)
    return model.neutral + np.tensordot(c, model.identity_basis[: len(c)], 1)


def identity_eyes(model: LandmarkModel, identity: FloatArray) -> tuple[Float32Array, float]:
    """The eyeballs of one person: centres (2, 3), left and right, and radius; metres, head frame.

    identity: (k,) coefficients, k <= K.
    """
    c = np.asarray(identity, np.float32)
    centers = model.eye_centers + np.tensordot(c, model.eye_center_basis[: len(c)], 1)
    return centers, float(model.eye_radius + c @ model.eye_radius_basis[: len(c)])


@dataclass(frozen=True, eq=False)
class FaceShape:
    """What tracking needs to know of a person: landmarks and eyeballs at rest; metres, head frame."""

    neutral_landmarks: Float32Array
    """(478, 3) at rest, looking straight ahead."""
    eye_centers: Float32Array
    """(2, 3) left, right."""
    eye_radius: float
    """Metres."""


def face_shape(model: LandmarkModel, identity: FloatArray) -> FaceShape:
    """The face of an identity. identity: (k,) coefficients, k <= K."""
    return FaceShape(identity_landmarks(model, identity), *identity_eyes(model, identity))


def mesh_landmarks(model: LandmarkModel, vertices: FloatArray) -> Float32Array:
    """The landmarks of a posed rig.

    vertices: (..., V, 3) in the rig's numbering. Returns (..., 478, 3) float32.
    """
    corners = np.asarray(vertices)[..., model.vertex_ids, :]
    return np.einsum("...lkc,lk->...lc", corners, model.barycentrics).astype(np.float32)
