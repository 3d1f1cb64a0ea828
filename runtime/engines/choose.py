"""Which engine a session gets, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from perse_live.avatar import Avatar
from perse_live.errors import UserError
from runtime.engines.contract import Choice, Engine, EngineName, EngineUnavailableError, Rebuild
from runtime.engines.cpu import CpuEngine

Wish = Literal["auto", "cpu", "onnx", "tensorrt", "tensorrt-rtx"]
_QUICKEST_FIRST: tuple[EngineName, ...] = ("tensorrt", "tensorrt-rtx")
"""What "auto" tries before the CPU; ONNX Runtime is not among them, as the fused kernels are quicker on the same CPU."""


def choose_engine(wish: Wish, folder: Path, avatar: Avatar, *, rebuild: Rebuild | None = None) -> Choice:
    """Open an engine for an avatar.

    folder: of the avatar's engines; rebuild: as for `NvidiaEngine`. "auto" takes TensorRT or TensorRT for RTX where one opens,
    else the CPU, and says what stood in the way. Raises UserError, one line with every cause, where what is asked for does not
    open.
    """
    if wish == "cpu":
        return Choice(CpuEngine(), "engine cpu: asked for")
    if wish != "auto":
        try:
            return Choice(_opened(wish, folder, avatar, rebuild), f"engine {wish}: asked for")
        except EngineUnavailableError as error:
            raise UserError(f"the engine {error}; --engine cpu always works") from error
    if not folder.is_dir():
        return Choice(CpuEngine(), f"engine cpu: there is no folder of engines {folder.name} beside the avatar")
    obstacles: list[str] = []
    for name in _QUICKEST_FIRST:
        try:
            return Choice(_opened(name, folder, avatar, rebuild), f"engine {name}: the quickest that opens here")
        except EngineUnavailableError as error:
            obstacles.append(str(error))
    return Choice(CpuEngine(), f"engine cpu, as no quicker one opens: {' | '.join(obstacles)}")


def _opened(name: EngineName, folder: Path, avatar: Avatar, rebuild: Rebuild | None) -> Engine:
    if name == "cpu":
        return CpuEngine()
    if name == "onnx":
        from runtime.engines.onnx_cpu import OnnxEngine

        return OnnxEngine(folder, avatar)
    from runtime.engines.nvidia import NvidiaEngine

    return NvidiaEngine(name, folder, avatar, rebuild=rebuild)
