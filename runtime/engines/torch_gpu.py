"""The avatar's graphs by torch alone: any NVIDIA GPU that gsplat draws on, without TensorRT and without a folder of engines."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from perse_live.avatar import Avatar
from perse_live.engines.graphs import MOTION, POSED, binding_inputs, canonical_inputs, rig_hash
from perse_live.engines.nvidia import driver_obstacle
from perse_live.errors import gist
from perse_live.extras import install_command
from runtime.engines.contract import EngineName, EngineUnavailableError

if TYPE_CHECKING:
    from runtime.engines.device import DeviceDrawer, DevicePoser


class TorchEngine:
    """Runs the torch modules that the exported graphs are made from."""

    name: EngineName = "torch"

    def __init__(
        self, avatar: Avatar, *, device: str = "cuda", size: tuple[int, int] = (512, 512)
    ) -> None:
        """device: "cpu" is for tests, and slow; size: width and height of the picture that is drawn to see whether all works.

        Raises EngineUnavailableError with all causes.
        """
        if causes := gpu_obstacles() if device == "cuda" else []:
            raise EngineUnavailableError(self.name, causes)
        from perse_live.torch_graphs.animate import Animate
        from runtime.engines.device import draw_first_frame

        self._device, self._rig = device, rig_hash(avatar.rig)
        try:
            self._animate = Animate(avatar.rig).to(device)
            draw_first_frame(self, avatar, size)
        except Exception as error:  # of torch, of gsplat, of the driver: their list is open
            raise EngineUnavailableError(
                self.name, [f"cannot draw a frame ({gist(error)})"]
            ) from error

    def poser(self, avatar: Avatar, *, threads: int) -> DevicePoser:
        """With a separate stream and graphs. Raises ValueError for an avatar of another rig."""
        from perse_live.device import DeviceStream
        from runtime.engines.device import DevicePoser, TorchGraph, attributes_in_torch

        if rig_hash(avatar.rig) != self._rig:
            raise ValueError("another avatar's rig: open an engine for that avatar")
        stream = DeviceStream(self._device)
        animate = TorchGraph(
            self._animate, (*MOTION, *canonical_inputs(0), *binding_inputs(0)), tuple(POSED), stream
        )
        return DevicePoser(avatar, animate, *attributes_in_torch(avatar, stream), stream)

    def drawer(self, width: int, height: int, *, threads: int) -> DeviceDrawer:
        """By gsplat."""
        from runtime.engines.device import DeviceDrawer

        return DeviceDrawer(width, height)


def gpu_obstacles() -> list[str]:
    """Why nothing can be drawn on a GPU here, one clause each; empty if it can. Without NVIDIA's driver torch is not imported."""
    causes = [obstacle for obstacle in [driver_obstacle()] if obstacle]
    missing = [name for name in ("torch", "gsplat") if find_spec(name) is None]
    causes.extend(f"{name} is not installed: {install_command('cuda')}" for name in missing)
    if causes:
        return causes
    try:
        from perse_live.splatting.cuda import cuda_obstacles
    except Exception as error:  # a torch that does not find its libraries
        return [
            f"torch does not load ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        ]
    return list(cuda_obstacles())
