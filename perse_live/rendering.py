"""Implementation of `Avatar.render` and `Avatar.gaussians`.

The live session draws through `runtime.stage`, which chooses among engines and reuses its buffers;
here every picture is a new array.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import Float32Array, FloatArray, UInt8Array
from perse_live.attribute_blending import with_attributes
from perse_live.avatar import Avatar, with_resting_lids
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import EXPRESSION_COUNT, expression
from perse_live.head.rig import gaze_from_expression
from perse_live.poses import facing_pose
from perse_live.splatting import open_rasterizer

_SIDES = (16, 4096)  # pixels


class Renderer:
    """Draws one avatar at one size. Thread-safe: calls are serialised by a lock."""

    def __init__(self, avatar: Avatar, size: int) -> None:
        """size: width and height, 16 to 4096 pixels. Raises UserError for another size."""
        if not _SIDES[0] <= size <= _SIDES[1]:
            raise UserError(
                f"a picture of {size} pixels cannot be drawn: choose {_SIDES[0]} to {_SIDES[1]}"
            )
        threads = os.cpu_count() or 1
        self._avatar, self._camera = avatar, avatar.source.camera.resized(size, size)
        self._animator = Animator(avatar, threads=threads)
        self._rasterizer = open_rasterizer(size, size, device="auto", threads=threads)
        self._weights: dict[str, float] = {}
        self._drawing = threading.Lock()

    def render(
        self,
        expression: Mapping[str, float] | FloatArray | None,
        pose: HeadPose | Sequence[float] | None,
        attributes: Mapping[str, float] | None,
        *,
        gaze: FloatArray | None,
        residual: Float32Array | None,
        background: Sequence[int],
    ) -> UInt8Array:
        """A picture (size, size, 3); arguments and errors as of `Avatar.render`."""
        scores = expression_vector(self._avatar, expression)
        weights = attribute_weights(self._avatar, attributes or {})
        color = _color(background)
        with self._drawing:
            if weights != self._weights:
                self._animator.set_avatar(
                    with_attributes(self._avatar, self._avatar.attributes, weights)
                )
                self._weights = weights
            gaussians = self._animator.pose(
                scores, _gaze(gaze, scores), head_pose(self._avatar, pose), residual=residual
            )
            return self._rasterizer.render(gaussians, self._camera, background=color).copy()


def posed_gaussians(
    avatar: Avatar,
    expression: Mapping[str, float] | FloatArray | None,
    pose: HeadPose | Sequence[float] | None,
    attributes: Mapping[str, float] | None,
    *,
    gaze: FloatArray | None,
    residual: Float32Array | None,
) -> Gaussians:
    """The avatar's Gaussians in the camera frame; arguments and errors as of `Avatar.gaussians`."""
    weights = attribute_weights(avatar, attributes or {})
    animator = Animator(
        with_attributes(avatar, avatar.attributes, weights), threads=os.cpu_count() or 1
    )
    scores = expression_vector(avatar, expression)
    return animator.pose(scores, _gaze(gaze, scores), head_pose(avatar, pose), residual=residual)


def expression_vector(
    avatar: Avatar, given: Mapping[str, float] | FloatArray | None
) -> Float32Array:
    """An absolute expression (52,) from scores by ARKit name, from a vector, or from None.

    Scores by name are relative to the subject's face at rest, whose lids may be a little narrowed
    (`with_resting_lids`); a vector is taken as it is. Raises UserError for an unknown name, another
    shape, and a score outside [0, 1].
    """
    scores = {} if given is None else given
    if isinstance(scores, Mapping):
        vector = expression(**{str(name): float(score) for name, score in scores.items()})
    else:
        vector = np.asarray(scores, np.float32)
    if vector.shape != (EXPRESSION_COUNT,):
        raise UserError(
            f"an expression of shape {vector.shape} is not understood: give {EXPRESSION_COUNT}"
            " scores, or a mapping from ARKit names to scores"
        )
    if not ((vector >= 0) & (vector <= 1)).all():  # NaN is not in any range
        raise UserError("an expression's scores go from 0 to 1: one is outside")
    return with_resting_lids(avatar, vector) if isinstance(scores, Mapping) else vector


def _gaze(given: FloatArray | None, scores: Float32Array) -> Float32Array:
    return gaze_from_expression(scores) if given is None else np.asarray(given, np.float32)


def head_pose(avatar: Avatar, given: HeadPose | Sequence[float] | None) -> HeadPose:
    """A pose from yaw, pitch and roll in degrees (see `facing_pose`); None faces the camera.

    Raises UserError for anything else.
    """
    if isinstance(given, HeadPose):
        return given
    angles = (0.0, 0.0, 0.0) if given is None else tuple(map(float, given))
    if len(angles) != 3 or not np.isfinite(angles).all():
        raise UserError(
            f"the pose {given} is not understood: give yaw, pitch and roll in degrees,"
            " or a HeadPose"
        )
    return facing_pose(avatar, yaw=angles[0], pitch=angles[1], roll=angles[2])


def attribute_weights(avatar: Avatar, given: Mapping[str, float]) -> dict[str, float]:
    """Weights above 0 by name.

    Raises UserError for an unknown name and for a weight outside [0, 1].
    """
    names = [one.name for one in avatar.attributes]
    for name, weight in given.items():
        if name not in names:
            raise UserError(
                f"there is no attribute {name[:40]!r}: the avatar has {', '.join(names) or 'none'}"
            )
        if not 0 <= weight <= 1:
            raise UserError(f"the weight of attribute {name} is {weight:g}: give 0 to 1")
    return {name: float(weight) for name, weight in given.items() if weight > 0}


def _color(background: Sequence[int]) -> tuple[float, float, float]:
    if len(background) != 3 or not all(0 <= value <= 255 for value in background):
        raise UserError(
            f"the background {tuple(background)} is not a colour: give red, green and blue from 0"
            " to 255"
        )
    red, green, blue = (value / 255 for value in background)
    return red, green, blue
