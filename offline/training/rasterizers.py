"""The rasterizer of training: numba on the CPU, or gsplat where a GPU is available."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from perse_live.camera import Camera
from perse_live.errors import UserError
from perse_live.splatting import autograd, cuda

Device = Literal["auto", "cpu", "cuda"]

_log = logging.getLogger(__name__)


class Splat(Protocol):
    """As `perse_live.splatting.autograd.splat`."""

    def __call__(
        self,
        means: torch.Tensor,
        quats: torch.Tensor,
        scales: torch.Tensor,
        opacities: torch.Tensor,
        colors: torch.Tensor,
        camera: Camera,
        /,
        *,
        background: tuple[float, float, float],
        threads: int,
    ) -> torch.Tensor:
        """Draw Gaussians in the camera frame, with gradients. Returns (H, W, 4) where its arguments are."""
        ...


@dataclass(frozen=True)
class Drawing:
    """Device and rasterizer. The network stays on the CPU: computing its rows costs less than transferring them."""

    device: torch.device
    splat: Splat


ON_CPU = Drawing(torch.device("cpu"), autograd.splat)


def drawing_on(device: Device) -> Drawing:
    """Where to draw: "auto" takes CUDA if torch finds a GPU and gsplat can draw on it.

    Raises UserError, with every cause, if "cuda" is requested and not available.
    """
    if device == "cpu":
        return ON_CPU
    causes = cuda.cuda_obstacles()
    if not causes:
        return Drawing(torch.device("cuda"), cuda.splat)
    if device == "cuda":
        raise UserError(
            f"cannot learn on CUDA: {'; '.join(causes)}. Install perse-live[cuda] on a machine with an NVIDIA GPU, or"
            " choose the device cpu"
        )
    _log.info("learning on the CPU: %s", "; ".join(causes))
    return ON_CPU
