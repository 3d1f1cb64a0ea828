"""A picture of a look with its geometry, and the avatar without the look in the pose of a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offline.training.contract import TrainingFrame
from perse_live.animate import (
    RigidBinding,
    SurfaceBinding,
    pose_gaussians,
    pose_vertices,
)
from perse_live.arrays import BoolArray, Float32Array
from perse_live.avatar import Avatar, corrected
from perse_live.gaussians import Gaussians
from perse_live.rotations import to_matrix
from perse_live.splatting.cpu import CpuRasterizer

_TOUCHED = 0.1  # of the part's mask, from which one of the avatar's Gaussians may change
_BEHIND = 0.006  # metres behind the avatar's surface at which its Gaussians are still seen
_WITHIN = (
    0.002  # metres behind a solid thing's surface in which it has none of the avatar's Gaussians
)
DEPTH_TOLERANCE = 0.004
"""Metres before the surface that a picture shows from which it refutes a point."""


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """A training picture of a look, with the maps of its geometry that the data set has."""

    frame: TrainingFrame
    depth: Float32Array | None
    """(H, W) metres along the camera's z, 0 where nothing is seen; None: not known."""
    alpha: Float32Array | None = None
    """(H, W) in [0, 1], how far a pixel is the person's and the look's; None: not known, taken as 1."""
    normals: Float32Array | None = None
    """(H, W, 3) unit, camera frame, towards the camera, 0 where nothing is seen; None: not known, all towards the camera."""
    thing: BoolArray | None = None
    """(H, W) pixels that show what the look adds, by their class; None: not known, decided by depth alone."""


class PosedAvatar:
    """The avatar without the look in a frame's pose: posed, with its depth."""

    def __init__(self, avatar: Avatar, frame: TrainingFrame) -> None:
        avatar = corrected(avatar, frame.expression, frame.gaze)
        self.rig, self.frame = avatar.rig, frame
        self.vertices = pose_vertices(avatar.rig, frame.expression, frame.gaze, frame.pose)
        bound = avatar.surface, avatar.rigid, avatar.opacities, avatar.colors
        self._gaussians = pose_gaussians(self.vertices, avatar.rig, *bound, frame.pose)
        depths = np.repeat(self._gaussians.means[:, 2:], 3, 1)
        drawn = CpuRasterizer(frame.camera.width, frame.camera.height, threads=1).render_float(
            replace(self._gaussians, colors=depths), frame.camera, background=(0.0, 0.0, 0.0)
        )
        self.alpha = drawn[..., 3].copy()
        self.depth = drawn[..., 0] / np.maximum(self.alpha, 1e-3)

    def visible_in(
        self, part: Float32Array, depth: Float32Array | None
    ) -> tuple[BoolArray, BoolArray]:
        """(G,) which of the avatar's Gaussians are seen, without the look or with it, and which of these lie in the part (H, W).

        depth: (H, W) of the picture with the look: where that is farther, as with a cap that presses hair flat, what was inside
        is at the surface.
        """
        means = self._gaussians.means
        columns, rows, on = self.pixels(means)
        surface = self.depth[rows, columns]
        if depth is not None:
            found = depth[rows, columns]
            surface = np.maximum(surface, np.where(found == 0, np.inf, found))
        near = means[:, 2] < surface + _BEHIND
        seen = on & near & (self._gaussians.opacities > 0)
        return seen, seen & (part[rows, columns] > _TOUCHED)

    def pixels(self, means: Float32Array) -> tuple[np.ndarray, np.ndarray, BoolArray]:
        """Columns and rows of the pixels of points (N, 3), within the picture, and which of them are in it."""
        camera = self.frame.camera
        columns, rows = np.floor(camera.project(means)).astype(int).T
        on = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
        return columns.clip(0, camera.width - 1), rows.clip(0, camera.height - 1), on

    def posed(self, avatar: Avatar, surface: SurfaceBinding, rigid: RigidBinding) -> Float32Array:
        """Where Gaussians bound to the avatar's rig are, (N, 3) camera frame."""
        return self.gaussians_of(avatar, surface, rigid).means

    def gaussians_of(
        self, avatar: Avatar, surface: SurfaceBinding, rigid: RigidBinding
    ) -> Gaussians:
        """Gaussians bound to the avatar's rig, posed, opaque and black."""
        count = len(surface.triangles) + len(rigid.means)
        shown, colors = np.ones(count, np.float32), np.zeros((count, 3), np.float32)
        pose = self.frame.pose
        return pose_gaussians(self.vertices, avatar.rig, surface, rigid, shown, colors, pose)

    def judged_by(
        self, depth: Float32Array, part: Float32Array, solid: BoolArray
    ) -> tuple[BoolArray, BoolArray]:
        """(G,) of which of the avatar's Gaussians a picture tells whether they are there, and which are not.

        depth, part: (H, W) of the picture; solid: (H, W) where it shows a solid thing. What lies at the surface that the picture
        shows is there. What stands before that surface within the part is not, nor what lies in a solid thing's surface. Of
        all else it tells nothing. Of long Gaussians both ends are looked at: hair that stands out from under a hat has its
        mean behind it.
        """
        gaussians = self._gaussians
        longest, every = gaussians.scales.argmax(1), np.arange(len(gaussians.means))
        axes = to_matrix(gaussians.quats)[every, :, longest]
        half = gaussians.scales[every, longest, None] * axes
        there = refuted = np.zeros(len(every), np.bool_)
        for end in (0, -1, 1):
            means = gaussians.means + np.float32(end) * half
            columns, rows, on = self.pixels(means)
            found, z = depth[rows, columns], means[:, 2]
            nearest = np.where(solid[rows, columns], found + _WITHIN, found - DEPTH_TOLERANCE)
            within = part[rows, columns] > _TOUCHED
            refuted = refuted | (on & within & ((found == 0) | (z < nearest)))
            if not end:
                there = on & (np.abs(z - found) <= DEPTH_TOLERANCE)
        return there | refuted, refuted
