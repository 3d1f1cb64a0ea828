"""The rasteriser interface, and the choice of a backend."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Literal, Protocol

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.camera import Camera
from perse_live.engines.nvidia import driver_obstacle
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from perse_live.splatting.cpu import CpuRasterizer

_log = logging.getLogger(__name__)


class Rasterizer(Protocol):
    """Interface of all backends.

    It draws pictures of the size it was opened with, by gsplat's rules (`rasterize_mode="classic"`), from Gaussians whose means
    are in the camera frame. Backends agree within 1/255 per channel, except at pixels where rounding decides whether an alpha
    reaches 1/255 or a transmittance 1e-4. An empty set of Gaussians is a picture of the background.

    The methods raise ValueError, and return nothing, if an array has not the shape or type that `Gaussians` says, if any number
    in the Gaussians, the camera or the background is not finite, if a focal length is not positive, or if the camera's picture
    has another size. After that the rasteriser can be used as before. They raise nothing else for any finite input; what cannot
    be represented is left out.

    The arrays that they return may be work buffers: they hold until the next call of the same method. Not
    thread-safe.
    """

    def render(
        self, gaussians: Gaussians, camera: Camera, *, background: tuple[float, float, float]
    ) -> UInt8Array:
        """The Gaussians over a background (sRGB); (H, W, 3) RGB."""
        ...

    def render_rgba(self, gaussians: Gaussians, camera: Camera) -> UInt8Array:
        """The Gaussians alone; (H, W, 4) RGBA, the colour premultiplied by alpha."""
        ...

    def render_float(
        self, gaussians: Gaussians, camera: Camera, *, background: tuple[float, float, float]
    ) -> Float32Array:
        """As `render`, neither rounded nor clamped; (H, W, 4) colour over the background, alpha."""
        ...

    def stage_times(self) -> dict[str, float]:
        """Milliseconds of the last call, by stage; the stages depend on the backend. Empty before the first call."""
        ...


def open_rasterizer(
    width: int, height: int, *, device: Literal["auto", "cpu", "cuda"], threads: int
) -> Rasterizer:
    """A rasteriser for pictures of one size.

    width, height: pixels; device: "auto" takes CUDA if torch finds a GPU and gsplat can draw on it, else the CPU; threads: for
    the CPU, >= 1. Torch is imported only if it and gsplat are installed, NVIDIA's driver is there and `device` does not rule
    CUDA out. Raises UserError with every cause if "cuda" is asked for and cannot be had, ValueError for sizes or threads that are
    not positive.
    """
    if device != "cpu":
        causes = [
            f"{module} is not installed"
            for module in ("torch", "gsplat")
            if find_spec(module) is None
        ]
        causes.extend(filter(None, [driver_obstacle()]))
        if not causes:
            from perse_live.splatting.cuda import CudaRasterizer, cuda_obstacles

            causes.extend(cuda_obstacles())
            if not causes:
                return CudaRasterizer(width, height)
        if device == "cuda":
            raise UserError(
                f"cannot draw on CUDA: {'; '.join(causes)}. Install perse-live[cuda] on a machine with an NVIDIA "
                "GPU, or choose the device cpu"
            )
        _log.info("drawing on the CPU: %s", "; ".join(causes))
    return CpuRasterizer(width, height, threads=threads)
