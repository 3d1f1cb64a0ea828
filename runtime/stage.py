"""An avatar before a camera: its picture in any pose."""

from __future__ import annotations

from dataclasses import dataclass

from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.poses import facing_pose as facing_pose
from perse_live.poses import on_the_neck as on_the_neck
from perse_live.poses import turned_pose as turned_pose
from perse_live.splatting.backend import open_rasterizer


@dataclass(frozen=True, eq=False)
class Motion:
    """What an avatar does in one frame."""

    expression: Float32Array
    """(52,) [0, 1]."""
    gaze: Float32Array
    """(2, 2) radians; left and right eye; yaw towards +x, pitch upwards."""
    pose: HeadPose
    residual: Float32Array | None = None
    """(478, 3) metres, head frame: landmark offsets beyond the 52 actions; None: none."""


class Stage:
    """Draws one avatar through one camera, again and again; for one thread at a time."""

    def __init__(self, avatar: Avatar, camera: Camera, *, threads: int) -> None:
        """threads: how many may work on a picture, >= 1."""
        self._animator, self._camera = Animator(avatar, threads=threads), camera
        self._rasterizer = open_rasterizer(camera.width, camera.height, device="auto", threads=threads)

    def wear(self, avatar: Avatar) -> None:
        """Draw the same avatar in other attributes from here on; raises ValueError for the avatar of another rig."""
        self._animator.wear(avatar)

    def draw(self, motion: Motion, *, background: tuple[float, float, float]) -> UInt8Array:
        """The avatar over a colour (sRGB in [0, 1]). Returns (H, W, 3) RGB, a work buffer."""
        return self.render(self.pose(motion), background=background)

    def draw_rgba(self, motion: Motion) -> UInt8Array:
        """The avatar alone. Returns (H, W, 4) RGBA premultiplied by alpha, a work buffer."""
        return self.render_rgba(self.pose(motion))

    def pose(self, motion: Motion) -> Gaussians:
        """The first half of drawing: the avatar's Gaussians in the camera frame, work buffers."""
        return self._animator.pose(motion.expression, motion.gaze, motion.pose, residual=motion.residual)

    def render(self, gaussians: Gaussians, *, background: tuple[float, float, float]) -> UInt8Array:
        """The second half, over a colour; as `draw`."""
        return self._rasterizer.render(gaussians, self._camera, background=background)

    def render_rgba(self, gaussians: Gaussians) -> UInt8Array:
        """The second half, over nothing; as `draw_rgba`."""
        return self._rasterizer.render_rgba(gaussians, self._camera)
