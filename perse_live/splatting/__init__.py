"""Gaussian splatting: fast on the CPU, on CUDA through gsplat, with gradients, and a slow reference.

Nothing here imports torch until something that needs it is used.
"""

from __future__ import annotations

from perse_live.splatting.cpu import CpuRasterizer

__all__ = ["CpuRasterizer"]
