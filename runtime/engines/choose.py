"""Choice of a session's engine, with the reasons."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Literal

from perse_live.avatar import Avatar
from perse_live.engines.nvidia import driver_obstacle
from perse_live.errors import UserError
from runtime.engines.contract import (
    ON_GPU,
    Choice,
    Engine,
    EngineName,
    EngineUnavailableError,
    Rebuild,
)
from runtime.engines.cpu import CpuEngine

Wish = Literal["auto", "cpu", "onnx", "torch", "tensorrt", "tensorrt-rtx"]
_FROM_FOLDER: tuple[Literal["tensorrt", "tensorrt-rtx"], ...] = ("tensorrt", "tensorrt-rtx")


def choose_engine(
    wish: Wish,
    folder: Path,
    avatar: Avatar,
    *,
    rebuild: Rebuild | None = None,
    size: tuple[int, int] = (512, 512),
) -> Choice:
    """Open an engine for an avatar.

    folder: of the avatar's engines; rebuild: as for `NvidiaEngine`; size: width and height of the pictures. "auto" takes
    the first that opens of TensorRT, TensorRT for RTX, torch on a GPU and the CPU, and reports why the engines before it did not
    open; an engine is only rebuilt, which takes minutes, where neither of the first two is ready. Raises UserError, one line
    with every cause, where the requested engine does not open.
    """
    if wish == "cpu":
        return Choice(CpuEngine(), "engine cpu: asked for")
    if wish != "auto":
        try:
            return Choice(_opened(wish, folder, avatar, rebuild, size), f"engine {wish}: asked for")
        except EngineUnavailableError as error:
            raise UserError(f"the engine {error}; --engine cpu always works") from error
    obstacles: dict[EngineName, str] = {}
    rebuildable: set[EngineName] = set()
    attempts: list[tuple[EngineName, Rebuild | None]] = [(name, None) for name in _FROM_FOLDER]
    if rebuild is not None:
        attempts.extend((name, rebuild) for name in _FROM_FOLDER)
    if not folder.is_dir():
        nothing = f"there is no folder of engines {folder.name} next to the avatar"
        obstacles = {name: f"{name}: {nothing}" for name in _FROM_FOLDER}
        attempts.clear()
    attempts.append(("torch", None))
    for name, how in attempts:
        if how is not None and name not in rebuildable:
            continue
        try:
            engine = _opened(name, folder, avatar, how, size)
        except EngineUnavailableError as error:
            # not kept: its traceback holds what the engine had on the GPU
            obstacles[name] = str(error)
            if error.rebuilding_helps:
                rebuildable.add(name)
        else:
            return Choice(engine, f"engine {name}{_instead_of(obstacles, name)}")
        _give_memory_back()
    return Choice(
        CpuEngine(), f"engine cpu{_instead_of(obstacles, 'cpu')}", unexpected=not driver_obstacle()
    )


def _give_memory_back() -> None:
    """Release a failed engine's GPU memory, torch's cache included, for the next engine or other programs."""
    gc.collect()  # tensors that only a reference cycle holds, such as an exception and the frame that it was caught in
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _instead_of(obstacles: dict[EngineName, str], name: EngineName) -> str:
    before = ON_GPU[: ON_GPU.index(name)] if name in ON_GPU else ON_GPU
    causes = " | ".join(obstacles[one] for one in before if one in obstacles)
    return f", as none before it opens: {causes}" if causes else ": the quickest"


def _opened(
    name: EngineName, folder: Path, avatar: Avatar, rebuild: Rebuild | None, size: tuple[int, int]
) -> Engine:
    if name == "cpu":
        return CpuEngine()
    if name == "onnx":
        from runtime.engines.onnx_cpu import OnnxEngine

        return OnnxEngine(folder, avatar)
    if name == "torch":
        from runtime.engines.torch_gpu import TorchEngine

        return TorchEngine(avatar, size=size)
    from runtime.engines.nvidia import NvidiaEngine

    return NvidiaEngine(name, folder, avatar, rebuild=rebuild, size=size)
