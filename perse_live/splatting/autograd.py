"""Gaussian splatting on the CPU as a differentiable torch function."""

from __future__ import annotations

from typing import Any, cast

import torch

from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting._checks import Background
from perse_live.splatting._stages import Stages, flatten


class _Splat(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: torch.Tensor,
        quats: torch.Tensor,
        scales: torch.Tensor,
        opacities: torch.Tensor,
        colors: torch.Tensor,
        camera: Camera,
        background: Background,
        threads: int,
    ) -> torch.Tensor:
        flat = flatten(
            Gaussians(
                *(
                    cast("Any", tensor.detach().numpy())
                    for tensor in (means, quats, scales, opacities, colors)
                )
            )
        )
        stages = Stages(camera.width, camera.height, threads=threads)
        stages.assign(flat, camera)
        image = torch.empty(camera.height, camera.width, 4)
        stages.blend_float(background, image.numpy().reshape(-1))
        ctx.save_for_backward(means, quats, scales, opacities, colors, image)
        ctx.stages, ctx.flat, ctx.camera = stages, flat, camera
        return image

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        *inputs, image = ctx.saved_tensors  # also refuses inputs that were changed in place since
        by_image = gradients[0].contiguous().numpy().reshape(-1)
        flat = ctx.stages.backward(ctx.flat, ctx.camera, image.numpy().reshape(-1), by_image)
        by_inputs = (
            torch.from_numpy(array[: tensor.numel()]).reshape(tensor.shape)
            for array, tensor in zip(flat, inputs, strict=True)
        )
        return *by_inputs, None, None, None


def splat(
    means: torch.Tensor,
    quats: torch.Tensor,
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    camera: Camera,
    *,
    background: Background,
    threads: int,
) -> torch.Tensor:
    """Draw Gaussians, with gradients by all five arrays.

    means: (G, 3) metres, camera frame; quats: (G, 4) wxyz, any length; scales: (G, 3) metres; opacities: (G,) in [0, 1];
    colors: (G, 3) sRGB; all float32 on the CPU. background: sRGB; threads: >= 1. Returns (H, W, 4) float32, the colour over the
    background and alpha. Gradients repeat exactly for the same number of threads. Raises ValueError for wrong shapes or types and
    for numbers that are not finite. Rules as in gsplat's `rasterize_mode="classic"`; see `rasterize_reference`.
    """
    for name, tensor in (
        ("means", means),
        ("quats", quats),
        ("scales", scales),
        ("opacities", opacities),
        ("colors", colors),
    ):
        if tensor.device.type != "cpu":
            raise ValueError(f"{name} must be on the CPU, got {tensor.device}")
    return cast(
        "torch.Tensor",
        _Splat.apply(means, quats, scales, opacities, colors, camera, background, threads),
    )
