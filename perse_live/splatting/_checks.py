"""Input checks shared by all backends."""

from __future__ import annotations

import math
from typing import Any

from perse_live.camera import Camera
from perse_live.splatting._layout import TILE, TILES_MAX

Background = tuple[float, float, float]

NOT_FINITE = "the Gaussians hold numbers that are not finite"


def check_size(width: int, height: int, threads: int) -> None:
    """Raises ValueError unless all are positive and the picture is not too large."""
    for name, value in (("width", width), ("height", height), ("threads", threads)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if max(width, height) > TILE * TILES_MAX:
        raise ValueError(
            f"pictures may have at most {TILE * TILES_MAX} pixels a side, got {width} x {height}"
        )


def check_arrays(means: Any, quats: Any, scales: Any, opacities: Any, colors: Any) -> None:
    """Raises ValueError unless these numpy arrays or torch tensors are float32 of G rows of 3, 4, 3, nothing, 3."""
    count = means.shape[0] if means.ndim else 0
    for name, array, shape in (
        ("means", means, (count, 3)),
        ("quats", quats, (count, 4)),
        ("scales", scales, (count, 3)),
        ("opacities", opacities, (count,)),
        ("colors", colors, (count, 3)),
    ):
        if tuple(array.shape) != shape or str(array.dtype) not in ("float32", "torch.float32"):
            raise ValueError(
                f"{name} must be float32 of shape {shape}, got {array.dtype} of shape {tuple(array.shape)}"
            )


def check_camera(camera: Camera, width: int, height: int) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy. Raises ValueError for another picture size, and for numbers without meaning."""
    if (camera.width, camera.height) != (width, height):
        raise ValueError(
            f"the camera's picture is {camera.width} x {camera.height}, the rasteriser's {width} x {height}"
        )
    fx, fy, cx, cy = float(camera.fx), float(camera.fy), float(camera.cx), float(camera.cy)
    if not (
        math.isfinite(fx)
        and math.isfinite(fy)
        and math.isfinite(cx)
        and math.isfinite(cy)
        and fx > 0
        and fy > 0
    ):
        raise ValueError(
            f"the camera needs finite numbers and positive focal lengths, got {camera}"
        )
    return fx, fy, cx, cy


def check_background(background: Background) -> Background:
    """Three floats. Raises ValueError if they are not finite."""
    red, green, blue = (float(value) for value in background)
    if not (math.isfinite(red) and math.isfinite(green) and math.isfinite(blue)):
        raise ValueError(f"the background must be three finite numbers, got {background}")
    return red, green, blue
