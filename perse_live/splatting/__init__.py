"""Gaussian splatting: fast on the CPU, on CUDA through gsplat, with gradients, and a slow reference.

Nothing named here imports torch unless CUDA is asked for. With torch there are also `autograd.splat` (gradients on the CPU),
`cuda.splat` and `reference.rasterize_reference`.
"""

from __future__ import annotations

from perse_live.splatting.backend import Rasterizer, open_rasterizer
from perse_live.splatting.cpu import CpuRasterizer

__all__ = ["CpuRasterizer", "Rasterizer", "open_rasterizer"]
