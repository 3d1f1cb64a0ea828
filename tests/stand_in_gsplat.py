"""Where there is no GPU: what calls gsplat is checked by somebody who takes its arguments."""

from __future__ import annotations

import types
from typing import Any, cast

import torch

from perse_live.camera import Camera
from perse_live.splatting import autograd
from perse_live.splatting.cuda import Screen
from perse_live.splatting.reference import rasterize_reference


class StandInForGsplat(types.ModuleType):
    """Takes gsplat's arguments and draws with the reference, so that the calls to it can be checked without a GPU."""

    @staticmethod
    def rasterization(
        means: torch.Tensor,
        quats: torch.Tensor,
        scales: torch.Tensor,
        opacities: torch.Tensor,
        colors: torch.Tensor,
        viewmats: torch.Tensor,
        Ks: torch.Tensor,
        width: int,
        height: int,
        near_plane: float,
        eps2d: float,
        packed: bool,
        backgrounds: torch.Tensor,
        rasterize_mode: str,
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        assert (near_plane, eps2d, packed, rasterize_mode) == (0.01, 0.3, False, "classic")
        assert torch.equal(viewmats, torch.eye(4)[None])
        assert Ks.shape == (1, 3, 3)
        assert backgrounds.shape == (1, 3)
        k = Ks[0]
        assert k[2, 2] == 1
        camera = Camera(
            width, height, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])
        )
        background = (float(backgrounds[0, 0]), float(backgrounds[0, 1]), float(backgrounds[0, 2]))
        image = rasterize_reference(means, quats, scales, opacities, colors, camera, background)[
            None
        ].float()
        return image[..., :3], image[..., 3:], {}


def draw_by_numba(screen: Screen, *arrays: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """In the place of `perse_live.splatting.cuda.draw`: on the CPU, and quicker than the reference."""
    k, (red, green, blue) = screen.intrinsics[0].tolist(), screen.backgrounds[0].tolist()
    camera = Camera(screen.width, screen.height, k[0][0], k[1][1], k[0][2], k[1][2])
    image = cast("Any", autograd.splat)(*arrays, camera, background=(red, green, blue), threads=1)
    return image[..., :3], image[..., 3:]
