"""Gaussian splatting on the CPU."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting._checks import Background
from perse_live.splatting._stages import Stages, flatten


class CpuRasterizer:
    """Draws Gaussians into pictures of one size (Kerbl et al. 2023; details as in gsplat's `rasterize_mode="classic"`).

    The means of the Gaussians are in the camera frame, metres. Ones nearer than 1 cm, fainter than 1/255 or outside the picture
    are left out, as are ones whose ellipse is larger than about 1e9 pixels; opacities above 1 count as 1. Not for use by several
    threads at once; make one rasteriser for each.

    The arrays that the methods return are work buffers: the next call of the same method overwrites them.
    """

    def __init__(self, width: int, height: int, *, threads: int) -> None:
        """width, height: of the pictures, pixels; threads: how many may work on one, >= 1. Raises ValueError if not positive."""
        self._stages = Stages(width, height, threads=threads)
        self._rgb, self._rgba = np.empty(0, np.uint8), np.empty(0, np.uint8)
        self._float = np.empty(0, np.float32)

    def render(self, gaussians: Gaussians, camera: Camera, *, background: Background) -> UInt8Array:
        """The Gaussians over a background.

        background: sRGB in [0, 1]. Returns (H, W, 3) RGB, a work buffer. Raises ValueError for wrong shapes or types, numbers
        that are not finite, or a camera of another picture size.
        """
        height, width = self._stages.height, self._stages.width
        if not self._rgb.size:
            self._rgb = np.empty(height * width * 3, np.uint8)
        self._stages.assign(flatten(gaussians), camera)
        self._stages.blend_rgb(background, self._rgb)
        return self._rgb.reshape(height, width, 3)

    def render_rgba(self, gaussians: Gaussians, camera: Camera) -> UInt8Array:
        """The Gaussians alone, to be laid over anything: result = colour + (1 - alpha) * background.

        Returns (H, W, 4) RGBA, a work buffer; the colour is PREMULTIPLIED by alpha (it lies on black). Raises as `render` does.
        """
        height, width = self._stages.height, self._stages.width
        if not self._rgba.size:
            self._rgba = np.empty(height * width * 4, np.uint8)
        self._stages.assign(flatten(gaussians), camera)
        self._stages.blend_rgba(self._rgba)
        return self._rgba.reshape(height, width, 4)

    def render_float(
        self, gaussians: Gaussians, camera: Camera, *, background: Background
    ) -> Float32Array:
        """As `render`, without rounding or clamping.

        Returns (H, W, 4) colour over the background, alpha; a work buffer. Raises as `render` does.
        """
        height, width = self._stages.height, self._stages.width
        if not self._float.size:
            self._float = np.empty(height * width * 4, np.float32)
        self._stages.assign(flatten(gaussians), camera)
        self._stages.blend_float(background, self._float)
        return self._float.reshape(height, width, 4)

    def stage_times(self) -> dict[str, float]:
        """Milliseconds that the last call spent on project, sort, bin and blend; empty before the first."""
        return dict(self._stages.times)
