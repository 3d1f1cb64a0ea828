"""What an interchange file holds: an avatar's Gaussians in one state, standing still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from perse_live.animate import HeadPose, pose_gaussians, pose_vertices
from perse_live.arrays import Float32Array
from perse_live.attribute_blending import with_attributes
from perse_live.avatar import Avatar, corrected, with_resting_lids
from perse_live.gaussians import Gaussians
from perse_live.head.rig import gaze_from_expression

MIN_OPACITY = 1 / 255
"""Below it splat renderers draw nothing (gsplat's threshold), so such Gaussians are left out."""


def state_gaussians(
    avatar: Avatar, *, attributes: Mapping[str, float], expression: Float32Array
) -> Gaussians:
    """An avatar's Gaussians, the head upright and facing +z; metres, head frame (y up, right-handed).

    attributes: weights by name, [0, 1]; expression: (52,) [0, 1], relative to rest (`with_resting_lids` is applied).
    Nothing is culled by where it faces, as an interchange file is seen from all sides; what is too faint to be drawn is left out.
    Quaternions have unit length.
    """
    doing, gaze = with_resting_lids(avatar, expression), gaze_from_expression(expression)
    look = corrected(with_attributes(avatar, avatar.attributes, attributes), doing, gaze)
    upright = np.eye(3, dtype=np.float32)
    pose = HeadPose(upright, np.zeros(3, np.float32), upright)
    vertices = pose_vertices(look.rig, doing, gaze, pose)
    posed = pose_gaussians(
        vertices, look.rig, look.surface, look.rigid, look.opacities, look.colors, pose
    )
    seen = look.opacities >= MIN_OPACITY
    quats = posed.quats[seen]
    quats = quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), np.float32(1e-12))
    return Gaussians(
        posed.means[seen], quats, posed.scales[seen], look.opacities[seen], look.colors[seen]
    )


def y_down(gaussians: Gaussians) -> Gaussians:
    """The same, half a turn about x: x as it was, y down, z to the back of the head.

    These are the axes (right, down, forward) in which 3DGS trainers write, and which viewers expect of their formats.
    """
    return replace(
        gaussians,
        means=gaussians.means * np.array([1, -1, -1], np.float32),
        quats=gaussians.quats * np.array([1, 1, -1, -1], np.float32),
    )
