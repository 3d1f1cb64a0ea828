"""Interface of engines, and when they must raise.

An engine is opened for one avatar's rig. Opening it raises `EngineUnavailableError` with every cause that can be told at once,
and leaves nothing open: a package that is missing or does not load, no GPU or no driver for it, a folder that is missing,
damaged or half-written, a graph of another rig, an engine compiled by another version or for another GPU, inputs and outputs
other than `perse_live.engines.graphs` says, too little memory on the GPU for one frame, or any other exception. An
engine on a GPU blends, poses and draws a frame before it counts as open. An open engine works until it is closed or the
device fails, which is a RuntimeError.

`poser` raises ValueError for an avatar of another rig, or with more Gaussians than the engine was compiled for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, FloatArray, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.engines.nvidia import NvidiaBackend

EngineName = Literal["cpu", "onnx", "torch", "tensorrt", "tensorrt-rtx"]
Rebuild = Callable[[Path, NvidiaBackend], None]
"""Compiles a folder's ONNX graphs for this machine's GPU, for minutes. May raise anything."""
ENGINES: tuple[EngineName, ...] = ("cpu", "onnx", "torch", "tensorrt", "tensorrt-rtx")
ON_GPU: tuple[EngineName, ...] = ("tensorrt", "tensorrt-rtx", "torch")
"""Fastest first."""


class EngineUnavailableError(Exception):
    """An engine cannot be used here; the causes are clauses."""

    def __init__(
        self, name: EngineName, causes: list[str], *, rebuilding_helps: bool = False
    ) -> None:
        """rebuilding_helps: the only cause is that the folder has no engine for this GPU and version."""
        super().__init__(f"{name}: {'; '.join(causes)}")
        self.name, self.causes, self.rebuilding_helps = name, causes, rebuilding_helps


class Blender(Protocol):
    """Blends one avatar's attributes."""

    def blend(self, weights: Mapping[str, float], /) -> Any:
        """The avatar under weights (by name, [0, 1]), for the `set_avatar` of the poser that this comes from; a work buffer."""
        ...


class Poser(Protocol):
    """Poses one avatar frame after frame, as `perse_live.animator.Animator` does; not thread-safe."""

    def attribute_blender(self) -> Blender:
        """For this avatar."""
        ...

    def set_avatar(self, look: Any, /) -> None:
        """Switch to the same avatar with other attribute weights: what its blender gave, or `with_attributes`."""
        ...

    def pose(
        self,
        expression: FloatArray,
        gaze: FloatArray,
        pose: HeadPose,
        /,
        *,
        residual: Float32Array | None = None,
        secondary: FloatArray | None = None,
    ) -> Any:
        """Gaussians in the camera frame, for the drawer of the same engine; work buffers. Arguments as of `Animator.pose`."""
        ...


class Drawer(Protocol):
    """Draws the output of the same engine's poser; methods as of `perse_live.splatting.backend.Rasterizer`."""

    def render(
        self, gaussians: Any, camera: Camera, /, *, background: tuple[float, float, float]
    ) -> UInt8Array:
        """Over a background (sRGB); (H, W, 3) RGB, a work buffer."""
        ...

    def render_rgba(self, gaussians: Any, camera: Camera, /) -> UInt8Array:
        """Alone; (H, W, 4) RGBA premultiplied by alpha, a work buffer."""
        ...


class Engine(Protocol):
    """Poses and draws avatars of one rig."""

    @property
    def name(self) -> EngineName:
        """Name as on the command line."""
        ...

    def poser(self, avatar: Avatar, *, threads: int) -> Poser:
        """For one avatar of that rig, with its fixed attributes. Raises ValueError as described in the module."""
        ...

    def drawer(self, width: int, height: int, *, threads: int) -> Drawer:
        """For pictures of one size, pixels."""
        ...


@dataclass(frozen=True)
class Choice:
    """The chosen engine, and the reason."""

    engine: Engine
    why: str
    """One line of text."""
    unexpected: bool = False
    """Whether the CPU was chosen although there is a GPU."""
