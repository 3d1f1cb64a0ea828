"""Fast posing of one avatar, frame after frame: constants are prepared once and buffers are reused.

Gives the same results as `perse_live.animate`, `perse_live.head.rig.expressed` and `perse_live.avatar.corrected`, its
references in the tests, in a third of the time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.animate import HeadPose, PosedArrays, neck_frame, pose_into, pose_points
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.avatar import Avatar
from perse_live.corrector import Corrector
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import EXPRESSION_COUNT
from perse_live.head.rig import EYES, gaze_rotation, vertices_of
from perse_live.jit import kernel


class Animator:
    """Poses one avatar's Gaussians under expressions and head poses. Not thread-safe."""

    def __init__(self, avatar: Avatar, *, threads: int) -> None:
        """threads: number of threads that share the work of a frame, >= 1."""
        rig = avatar.rig
        self._avatar, self._threads = avatar, threads
        # an action moves a sixth of the vertices on average: stored sparsely
        moved = np.abs(rig.actions).max(2) > 0
        self._starts = np.concatenate([[0], np.cumsum(moved.sum(1))]).astype(np.int32)
        self._moved = np.nonzero(moved)[1].astype(np.int32)
        self._steps = np.ascontiguousarray(rig.actions[moved])
        self._eyes = [np.nonzero(vertices_of(rig, part))[0].astype(np.int32) for part in EYES]
        self._spread = np.ascontiguousarray(avatar.landmarks.spread)
        self._vertices, self._posed = np.empty_like(rig.vertices), np.empty_like(rig.vertices)
        self._room = _posed_arrays(0)
        self._out = self._room
        self._corrector = Corrector(avatar, threads=threads)
        self.set_avatar(avatar)

    def set_avatar(self, avatar: Avatar) -> None:
        """Switch to the same avatar with other attribute weights, as returned by `perse_live.attribute_blending`.

        Raises ValueError where the rig's actions, parts or triangles are not the same arrays.
        """
        before, after = self._avatar.rig, avatar.rig
        if not (
            before.actions is after.actions
            and before.parts is after.parts
            and before.triangles is after.triangles
        ):
            raise ValueError("another avatar's rig: create an Animator for that avatar")
        count = len(avatar)
        if count > len(self._room.means):
            self._room = _posed_arrays(count)
        self._avatar, self._out = avatar, PosedArrays(*(array[:count] for array in self._room))
        self._corrector.set_avatar(avatar)

    def vertices(
        self,
        expression: FloatArray,
        gaze: FloatArray,
        pose: HeadPose,
        *,
        residual: Float32Array | None = None,
    ) -> Float32Array:
        """The rig's vertices (V, 3), metres, camera frame; a work buffer.

        expression: (52,) [0, 1]; gaze: (2, 2) radians, left and right eye, yaw and pitch; residual: (478, 3) metres, head frame,
        landmark offsets that are spread over the face.
        """
        rig = self._avatar.rig
        strengths = np.ascontiguousarray(expression, np.float32)
        assert strengths.shape == (EXPRESSION_COUNT,)
        _express(rig.vertices, strengths, self._starts, self._moved, self._steps, self._vertices)
        for ids, center, rotation in zip(
            self._eyes, rig.eye_centers, gaze_rotation(gaze), strict=True
        ):
            _turn_ball(ids, center, rotation, self._vertices)
        if residual is not None:
            _spread(
                self._avatar.landmarks.spread_ids,
                self._spread,
                np.ascontiguousarray(residual.T, np.float32),
                self._vertices,
            )
        pose_points(
            self._vertices, rig.head_weights, *neck_frame(pose, rig.neck_pivot), self._posed
        )
        return self._posed

    def pose(
        self,
        expression: FloatArray,
        gaze: FloatArray,
        pose: HeadPose,
        *,
        residual: Float32Array | None = None,
        secondary: FloatArray | None = None,
    ) -> Gaussians:
        """The avatar's Gaussians in the camera frame; arguments as for `vertices`.

        secondary: (4,) as `perse_live.correctives.SECONDARY_NAMES`; None: 0.

        Returns work buffers that the next call overwrites; `colors` may be the avatar's array itself.
        """
        avatar = self._avatar
        vertices = self.vertices(expression, gaze, pose, residual=residual)
        now = self._corrector(expression, gaze, secondary)
        self._out.opacities[:] = now.opacities
        pose_into(
            self._out,
            vertices,
            avatar.rig,
            replace(avatar.surface, positions=now.positions),
            replace(avatar.rigid, means=now.means),
            neck_frame(pose, avatar.rig.neck_pivot),
            threads=self._threads,
        )
        return Gaussians(*self._out, now.colors)


def _posed_arrays(count: int) -> PosedArrays:
    return PosedArrays(
        np.empty((count, 3), np.float32),
        np.empty((count, 4), np.float32),
        np.empty((count, 3), np.float32),
        np.empty(count, np.float32),
    )


@kernel
def _express(
    rest: Float32Array,
    strengths: Float32Array,
    starts: Int32Array,
    moved: Int32Array,
    steps: Float32Array,
    out: Float32Array,
) -> None:
    """Vertices at rest plus weighted action displacements; action a moves the vertices moved[starts[a]:starts[a + 1]]."""
    for i in range(rest.shape[0]):
        out[i, 0], out[i, 1], out[i, 2] = rest[i, 0], rest[i, 1], rest[i, 2]
    for a in range(strengths.shape[0]):
        s = strengths[a]
        if s == 0:
            continue
        for j in range(starts[a], starts[a + 1]):
            i = moved[j]
            out[i, 0] += s * steps[j, 0]
            out[i, 1] += s * steps[j, 1]
            out[i, 2] += s * steps[j, 2]


@kernel
def _turn_ball(
    ids: Int32Array, center: Float32Array, rotation: Float32Array, vertices: Float32Array
) -> None:
    for k in range(ids.shape[0]):
        i = ids[k]
        x, y, z = vertices[i, 0] - center[0], vertices[i, 1] - center[1], vertices[i, 2] - center[2]
        vertices[i, 0] = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z + center[0]
        vertices[i, 1] = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z + center[1]
        vertices[i, 2] = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z + center[2]


@kernel
def _spread(
    ids: Int32Array, matrix: Float32Array, offsets: Float32Array, vertices: Float32Array
) -> None:
    """Add matrix @ offsets^T to the vertices `ids`; offsets: (3, 478). Not by BLAS, whose thread start-up costs more."""
    zero = np.float32(0.0)
    for k in range(ids.shape[0]):
        x, y, z = zero, zero, zero
        for j in range(matrix.shape[1]):
            x += matrix[k, j] * offsets[0, j]
            y += matrix[k, j] * offsets[1, j]
            z += matrix[k, j] * offsets[2, j]
        i = ids[k]
        vertices[i, 0] += x
        vertices[i, 1] += y
        vertices[i, 2] += z
