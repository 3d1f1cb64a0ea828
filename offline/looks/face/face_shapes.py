"""Other shapes of nose, chin, jaw, lips and eyes: smooth, local displacements of the rig's vertices.

Displacements are given at landmarks and interpolated by radial basis functions (Gaussian kernels with a ridge); landmarks with
zero displacement keep the rest of the face in place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offline.looks.changes import Title
from offline.numeric import ramp
from perse_live.arrays import Float32Array, FloatArray
from perse_live.attributes import Attribute, nothing_added
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import INNER_LIPS, IRIS, LEFT_EYE, LIPS, RIGHT_EYE
from perse_live.head.rig import Part, vertices_of

_WIDTH = 0.011  # metres, of the kernels
_RIDGE = 0.03
_LEAST = 2e-5  # metres; smaller displacements are set to 0

# MediaPipe's landmarks on the nose, from its bridge to its wings
_NOSE = (
    1,
    2,
    3,
    4,
    5,
    6,
    19,
    20,
    44,
    45,
    48,
    49,
    51,
    59,
    60,
    64,
    75,
    79,
    94,
    97,
    98,
    99,
    102,
    115,
    125,
    129,
    131,
    134,
    141,
    166,
    195,
    196,
    197,
    198,
    203,
    209,
    217,
    218,
    219,
    220,
    235,
    236,
    237,
    238,
    239,
    240,
    241,
    242,
    248,
    250,
    274,
    275,
    278,
    279,
    281,
    289,
    290,
    294,
    305,
    309,
    326,
    327,
    328,
    331,
    344,
    354,
    358,
    360,
    363,
    370,
    392,
    399,
    419,
    420,
    423,
    429,
    437,
    438,
    439,
    440,
    455,
    456,
    457,
    458,
    459,
    460,
    461,
    462,
)


def _moved(
    avatar: Avatar,
    moves: FloatArray,
    *,
    parts: tuple[Part, ...] = (Part.SKIN,),
    width: float = _WIDTH,
) -> Float32Array:
    """Displacements (V, 3) of the rig, interpolated from landmarks' (478, 3), on the skin of the face; irises are ignored."""
    face = np.setdiff1d(np.arange(len(moves)), IRIS)
    marks = neutral_landmarks(avatar)[face].astype(np.float64)
    kernel = np.exp(-0.5 * ((marks[:, None] - marks[None]) ** 2).sum(2) / width**2)
    weights = np.linalg.solve(kernel + _RIDGE * np.eye(len(face)), moves[face])
    vertices = avatar.rig.vertices
    offsets = np.zeros_like(vertices)
    ids = np.nonzero(vertices_of(avatar.rig, *parts))[0]
    squared = ((vertices[ids, None].astype(np.float64) - marks[None]) ** 2).sum(2)
    offsets[ids] = (
        np.exp(-0.5 * squared / width**2)
        @ weights
        * (1 - ramp(np.sqrt(squared.min(1)), 0.012, 0.028))[:, None]
    )
    return offsets


def _shaped(avatar: Avatar, title: Title, offsets: FloatArray) -> Attribute:
    ids = np.nonzero(np.linalg.norm(offsets, axis=1) > _LEAST)[0].astype(np.int32)
    none = np.zeros((0, 3), np.float32)
    return Attribute(
        title.name,
        title.label,
        title.slot,
        np.zeros(0, np.int32),
        none,
        np.zeros(0, np.float32),
        ids,
        offsets[ids].astype(np.float32),
        nothing_added(),
    )


def _nose_weight(marks: FloatArray) -> FloatArray:
    """(478,) weight of a landmark in the movable part of the nose: 0 at its root, 1 at tip and wings."""
    weight = np.zeros(len(marks))
    root, tip = marks[6, 1], marks[2, 1]
    ids = list(_NOSE)
    weight[ids] = ramp((root - marks[ids, 1]) / (root - tip), 0.05, 0.75)
    return weight


def _nose(title: Title, width: float, height: float, depth: float) -> Callable[[Avatar], Attribute]:
    """Scales about the nose's base between the wings; 1: unchanged."""

    def make(avatar: Avatar) -> Attribute:
        marks = neutral_landmarks(avatar)
        base = np.array(
            [
                marks[2, 0],
                marks[6, 1] * 0.35 + marks[2, 1] * 0.65,
                (marks[129, 2] + marks[358, 2]) / 2,
            ]
        )
        scale = np.array([width, height, depth]) - 1
        return _shaped(
            avatar,
            title,
            _moved(avatar, (marks - base) * scale * _nose_weight(marks)[:, None], width=0.008),
        )

    return make


def _chin(title: Title, down: float, forward: float) -> Callable[[Avatar], Attribute]:
    """Metres at the chin's tip; the lips stay."""

    def make(avatar: Avatar) -> Attribute:
        marks = neutral_landmarks(avatar)
        lip, tip = marks[17], marks[152]
        share = ramp((lip[1] - marks[:, 1]) / (lip[1] - tip[1]), 0.12, 1.0)
        share = (
            share * (1 - ramp(np.abs(marks[:, 0]), 0.016, 0.062)) * (marks[:, 2] > tip[2] - 0.075)
        )
        return _shaped(
            avatar, title, _moved(avatar, share[:, None] * (0.0, -down, forward), width=0.014)
        )

    return make


def _jaw(title: Title, outwards: float) -> Callable[[Avatar], Attribute]:
    """Metres at the corners of the jaw."""

    def make(avatar: Avatar) -> Attribute:
        marks = neutral_landmarks(avatar)
        corner_y = (marks[172, 1] + marks[397, 1]) / 2
        reach = np.abs(marks[172, 0] - marks[397, 0]) / 2
        share = np.exp(-0.5 * ((marks[:, 1] - corner_y) / 0.026) ** 2) * ramp(
            np.abs(marks[:, 0]) / reach, 0.45, 1.0
        )
        moves = np.zeros_like(marks)
        moves[:, 0] = outwards * share * np.sign(marks[:, 0])
        return _shaped(avatar, title, _moved(avatar, moves, width=0.015))

    return make


def _lips(title: Title, outer: float, forward: float) -> Callable[[Avatar], Attribute]:
    """Metres that the lips' outline moves up and down, and their surface forward; the line between them is fixed."""

    def make(avatar: Avatar) -> Attribute:
        marks = neutral_landmarks(avatar)
        left, right = marks[308], marks[78]
        across = (marks[:, 0] - right[0]) / (left[0] - right[0])
        seam = (marks[13, 1] + marks[14, 1]) / 2
        height = marks[:, 1] - seam
        full = np.clip(1 - (2 * across - 1) ** 2, 0, 1) ** 0.7
        red = np.zeros(len(marks))
        red[list(LIPS)] = 1
        red[list(INNER_LIPS)] = 0.0
        moves = np.zeros_like(marks)
        moves[:, 1] = outer * red * full * np.sign(height) * np.clip(np.abs(height) / 0.006, 0, 1)
        moves[:, 2] = forward * red * full
        return _shaped(avatar, title, _moved(avatar, moves, width=0.006))

    return make


def _eyes(title: Title, up: float, down: float, sideways: float) -> Callable[[Avatar], Attribute]:
    """Metres that the lids' edges move away from the eyes' centres; small enough that closed lids still meet."""

    def make(avatar: Avatar) -> Attribute:
        marks = neutral_landmarks(avatar)
        moves = np.zeros_like(marks)
        for eye in (LEFT_EYE, RIGHT_EYE):
            ring = marks[list(eye), :2]
            middle, half = (ring[0] + ring[8]) / 2, abs(float(ring[0, 0] - ring[8, 0])) / 2
            across = (marks[:, 0] - middle[0]) / half
            near = np.exp(
                -0.5 * (np.linalg.norm(marks[:, :2] - middle, axis=1) / (1.25 * half)) ** 4
            )
            height = np.clip((marks[:, 1] - middle[1]) / (0.25 * half), -1, 1)
            moves[:, 1] += (
                near * np.clip(1 - across**2, 0, 1) * np.where(height > 0, up, down) * height
            )
            moves[:, 0] += near * sideways * np.clip(across, -1, 1)
        parts = (Part.SKIN, Part.EYE_CAVITY_LEFT, Part.EYE_CAVITY_RIGHT, Part.LASHES)
        return _shaped(avatar, title, _moved(avatar, moves, parts=parts, width=0.006))

    return make


SHAPES: dict[str, Callable[[Avatar], Attribute]] = {
    "nose-small": _nose(Title("nose-small", "Smaller nose", "nose"), 0.86, 0.88, 0.82),
    "nose-large": _nose(Title("nose-large", "Larger nose", "nose"), 1.17, 1.15, 1.22),
    "nose-narrow": _nose(Title("nose-narrow", "Narrower nose", "nose"), 0.76, 1.0, 1.03),
    "chin-long": _chin(Title("chin-long", "Longer chin", "face"), 0.010, 0.003),
    "chin-short": _chin(Title("chin-short", "Shorter chin", "face"), -0.009, -0.001),
    "jaw-wide": _jaw(Title("jaw-wide", "Wider jaw", "face"), 0.0065),
    "jaw-narrow": _jaw(Title("jaw-narrow", "Narrower jaw", "face"), -0.0070),
    "lips-full": _lips(Title("lips-full", "Fuller lips", "face"), 0.0024, 0.0022),
    "eyes-large": _eyes(Title("eyes-large", "Larger eyes", "face"), 0.0009, 0.0006, 0.0016),
}
"""By attribute name."""
