"""Pinhole cameras in OpenCV axes: x right, y down, z forward."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perse_live.arrays import FloatArray


@dataclass(frozen=True)
class Camera:
    """An ideal pinhole camera without lens distortion; pixel centres lie at +0.5."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    fx: float
    """Focal length, pixels."""
    fy: float
    """Focal length, pixels."""
    cx: float
    """Principal point, pixels from the left edge of the leftmost pixel."""
    cy: float
    """Principal point, pixels from the top edge of the topmost pixel."""

    @staticmethod
    def for_image(width: int, height: int, *, focal_factor: float = 2.0) -> Camera:
        """The camera assumed for a picture of unknown origin: focal length = `focal_factor` x the longer side, centred."""
        focal = focal_factor * max(width, height)
        return Camera(width, height, focal, focal, width / 2, height / 2)

    def resized(self, width: int, height: int) -> Camera:
        """The same view on another pixel grid, fitted to the height and centred across the width."""
        scale = height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * scale,
            fy=self.fy * scale,
            cx=(self.cx - self.width / 2) * scale + width / 2,
            cy=self.cy * scale,
        )

    def project(self, points: FloatArray) -> FloatArray:
        """Pixels of points in the camera frame.

        points: (..., 3) metres, camera frame. Returns (..., 2) pixels; points at z = 0 give infinities.
        """
        z = points[..., 2]
        return np.stack(
            [self.fx * points[..., 0] / z + self.cx, self.fy * points[..., 1] / z + self.cy], -1
        )

    def unproject(self, pixels: FloatArray, depth: FloatArray) -> FloatArray:
        """Points in the camera frame of pixels at a depth along z.

        pixels: (..., 2); depth: (...) metres. Returns (..., 3) metres.
        """
        return np.stack(
            [
                (pixels[..., 0] - self.cx) / self.fx * depth,
                (pixels[..., 1] - self.cy) / self.fy * depth,
                depth,
            ],
            -1,
        )
