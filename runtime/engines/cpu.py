"""The CPU engine, always available: fused numba kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perse_live.animator import Animator
from perse_live.attribute_blender import AttributeBlender
from perse_live.avatar import Avatar
from perse_live.splatting.backend import Rasterizer, open_rasterizer
from runtime.engines.contract import EngineName


class CpuPoser(Animator):
    """`Animator` with its `AttributeBlender`."""

    def __init__(self, avatar: Avatar, *, threads: int) -> None:
        """threads: how many may share the work of a frame, >= 1."""
        super().__init__(avatar, threads=threads)
        self._base = avatar

    def attribute_blender(self) -> AttributeBlender:
        """For this avatar."""
        return AttributeBlender(self._base)


@dataclass(frozen=True)
class CpuEngine:
    """Poses on the CPU, and draws there too unless that is left to whatever is there."""

    device: Literal["auto", "cpu"] = "cpu"
    """Where it draws: "auto" takes a GPU that torch and gsplat can draw on, for callers whose user has not chosen an engine."""
    name: EngineName = "cpu"

    def poser(self, avatar: Avatar, *, threads: int) -> CpuPoser:
        """For any avatar."""
        return CpuPoser(avatar, threads=threads)

    def drawer(self, width: int, height: int, *, threads: int) -> Rasterizer:
        """As `open_rasterizer` chooses it."""
        return open_rasterizer(width, height, device=self.device, threads=threads)
