"""Renders one avatar through one camera: motion in, picture out."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.poses import facing_pose as facing_pose
from perse_live.poses import on_the_neck as on_the_neck
from perse_live.poses import turned_pose as turned_pose
from runtime.engines.contract import Blender, Engine
from runtime.engines.cpu import CpuEngine


@dataclass(frozen=True, eq=False)
class Motion:
    """Expression, gaze and pose of an avatar in one frame."""

    expression: Float32Array
    """(52,) [0, 1]."""
    gaze: Float32Array
    """(2, 2) radians; left and right eye; yaw towards +x, pitch upwards."""
    pose: HeadPose
    residual: Float32Array | None = None
    """(478, 3) metres, head frame: landmark offsets beyond the 52 actions; None: none."""
    secondary: Float32Array | None = None
    """(4,) as `perse_live.correctives.SECONDARY_NAMES`: sway of loose hair and filling of the lungs; None: zeros."""


class Stage:
    """Draws one avatar through one camera. Not thread-safe."""

    def __init__(
        self, avatar: Avatar, camera: Camera, *, threads: int, engine: Engine | None = None
    ) -> None:
        """threads: number of threads per picture, >= 1; engine: poses and draws; None: numba poses, and a GPU draws where
        there is one, else numba.
        """
        self._engine, self._threads = engine or CpuEngine(device="auto"), threads
        self._poser = self._engine.poser(avatar, threads=threads)
        self._look_through(camera)

    def _look_through(self, camera: Camera) -> None:
        self._camera = camera
        self._drawer = self._engine.drawer(camera.width, camera.height, threads=self._threads)

    def before(self, camera: Camera) -> Stage:
        """A stage for the same avatar and its current and future attributes with another camera; used by the same thread."""
        other = copy(self)
        other._look_through(camera)
        return other

    def attribute_blender(self) -> Blender:
        """Blends this avatar's attributes for `set_avatar`."""
        return self._poser.attribute_blender()

    def set_avatar(self, look: Any) -> None:
        """Switch to the same avatar with other attribute weights: the output of this stage's blender, or another `Avatar` of the
        same rig. Raises ValueError for another rig.
        """
        self._poser.set_avatar(look)

    def draw(self, motion: Motion, *, background: tuple[float, float, float]) -> UInt8Array:
        """The avatar over a colour (sRGB in [0, 1]). Returns (H, W, 3) RGB, a work buffer."""
        return self.render(self.pose(motion), background=background)

    def draw_rgba(self, motion: Motion) -> UInt8Array:
        """The avatar alone. Returns (H, W, 4) RGBA premultiplied by alpha, a work buffer."""
        return self.render_rgba(self.pose(motion))

    def pose(self, motion: Motion) -> Any:
        """The first half of drawing: the avatar's Gaussians in the camera frame, work buffers of the engine."""
        return self._poser.pose(
            motion.expression,
            motion.gaze,
            motion.pose,
            residual=motion.residual,
            secondary=motion.secondary,
        )

    def render(self, gaussians: Any, *, background: tuple[float, float, float]) -> UInt8Array:
        """The second half, over a colour; as `draw`."""
        return self._drawer.render(gaussians, self._camera, background=background)

    def render_rgba(self, gaussians: Any) -> UInt8Array:
        """The second half, over nothing; as `draw_rgba`."""
        return self._drawer.render_rgba(gaussians, self._camera)
