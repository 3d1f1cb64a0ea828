"""Blending, posing and drawing on a torch device: common code of the engines on NVIDIA GPUs.

A frame's motion goes up in one small copy, `animate` writes Gaussians where gsplat reads them, and only the finished picture
comes down. A poser and whatever draws what it posed share one stream. `attributes` writes where `animate` reads, so to change
weights is to upload K numbers. This module imports torch; only engines that need it import it, when they are opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, FloatArray, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.device import DEVICE_LOCK, Captured, DeviceStream, Packed, uploaded
from perse_live.engines.graphs import (
    BATCH,
    MOTION,
    POSED,
    binding_arrays,
    binding_inputs,
    canonical_arrays,
    canonical_inputs,
    motion_arrays,
    with_all_attributes,
)
from perse_live.poses import facing_pose
from perse_live.splatting.cuda import DevicePainter
from perse_live.torch_graphs.attributes import Attributes
from runtime.engines.contract import Engine


class DeviceGraph(Protocol):
    """One of an avatar's two graphs, on one stream of a device."""

    @property
    def dtypes(self) -> Mapping[str, torch.dtype]:
        """Of its inputs and outputs."""
        ...

    def bind(self, name: str, tensor: torch.Tensor) -> None:
        """Read an input from a tensor, or write an output into it; it must stay where it is. Raises ValueError for another type
        than `dtypes` says.
        """
        ...

    def prepare(self) -> None:
        """Warm up after all tensors are bound. Raises what the device or the graph's runner raises."""
        ...

    def run(self) -> None:
        """Put one evaluation on the stream."""
        ...


class TorchGraph:
    """A torch module as a graph; on a GPU its kernels are captured once, and replayed."""

    def __init__(
        self,
        module: torch.nn.Module,
        inputs: Sequence[str],
        outputs: Sequence[str],
        stream: DeviceStream,
    ) -> None:
        """module: on the stream's device; inputs, outputs: names, in the order in which it takes and gives them."""
        self._module, self._inputs, self._outputs = module, tuple(inputs), tuple(outputs)
        self._bound: dict[str, torch.Tensor] = {}
        self._captured = Captured(self._evaluate, stream)
        described = MOTION | canonical_inputs(0) | binding_inputs(0) | POSED
        self.dtypes = {
            name: getattr(torch, described[name].dtype) if name in described else torch.float32
            for name in (*inputs, *outputs)
        }
        """Of its inputs and outputs."""

    def bind(self, name: str, tensor: torch.Tensor) -> None:
        """Read an input from a tensor, or write an output into it."""
        check_dtype(name, tensor, self.dtypes[name])
        self._bound[name] = tensor
        self._captured.forget()

    def prepare(self) -> None:
        """Capture."""
        self._captured.prepare()

    def run(self) -> None:
        """Put one evaluation on the stream."""
        self._captured.run()

    @torch.no_grad()
    def _evaluate(self) -> None:
        results = self._module(*(self._bound[name] for name in self._inputs))
        for name, value in zip(self._outputs, results, strict=True):
            self._bound[name].copy_(value)


def check_dtype(name: str, tensor: torch.Tensor, expected: torch.dtype) -> None:
    """Raise ValueError where a tensor cannot be bound: its bytes would be read as something else."""
    if tensor.dtype != expected or not tensor.is_contiguous():
        raise ValueError(f"{name} must be contiguous {expected}, got {tensor.dtype}")


def attributes_in_torch(avatar: Avatar, stream: DeviceStream) -> tuple[TorchGraph, tuple[str, ...]]:
    """The graph `attributes` of any avatar with its attributes, thinned and tinted ones too, and its weights' names."""
    module = Attributes(avatar)
    with DEVICE_LOCK, stream.active():
        module = module.to(stream.device)
    return TorchGraph(module, ("weights",), tuple(canonical_inputs(0)), stream), tuple(
        one.name for one in avatar.attributes
    )


@dataclass(frozen=True, eq=False)
class DeviceGaussians:
    """Posed Gaussians in the camera frame, on a device."""

    tensors: tuple[torch.Tensor, ...]
    """Means (G, 3), quaternions (G, 4), scales (G, 3), opacities (G,) and colours (G, 3)."""
    stream: DeviceStream
    """Stream that they are written on; readers on other streams must wait for it."""


class DeviceLook:
    """An avatar under attribute weights, on a device: tensors by the names of `animate`'s inputs."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.tensors = tensors


class DeviceAttributeBlender:
    """Blends one avatar's attributes by the graph `attributes`, which writes where `animate` reads."""

    def __init__(
        self,
        avatar: Avatar,
        graph: DeviceGraph,
        names: Sequence[str],
        dtypes: Mapping[str, torch.dtype],
        stream: DeviceStream,
    ) -> None:
        """graph: `attributes`; names: of its weights, in order; dtypes: of `animate`'s inputs."""
        self._names, self._graph, self._stream = tuple(names), graph, stream
        full = with_all_attributes(avatar)
        with DEVICE_LOCK, stream.active():
            tensors = uploaded(
                canonical_arrays(full) | binding_arrays(full), stream, dtypes
            ).on_device
            self._weights = Packed({"weights": ((len(self._names),), torch.float32)}, stream)
            self._weights.send()  # zeros
            graph.bind("weights", self._weights.on_device["weights"])
            for name in canonical_inputs(0):
                graph.bind(name, tensors[name])
            graph.prepare()
        self._look = DeviceLook(tensors)

    def blend(self, weights: Mapping[str, float]) -> DeviceLook:
        """The avatar under weights; a work buffer."""
        with DEVICE_LOCK, self._stream.active():
            self._weights.fill(
                {"weights": np.array([weights.get(name, 0.0) for name in self._names], np.float32)}
            )
            self._graph.run()
        return self._look


class DevicePoser:
    """Poses one avatar by the graph `animate`; not thread-safe.

    It begins with all weights at 0, where the Gaussians of every attribute are there, transparent: whatever is
    faded in later needs neither another upload nor another capture.
    """

    def __init__(
        self,
        avatar: Avatar,
        animate: DeviceGraph,
        attributes: DeviceGraph,
        names: Sequence[str],
        stream: DeviceStream,
    ) -> None:
        """names: of the weights that `attributes` takes."""
        self._avatar, self._graph, self._stream = avatar, animate, stream
        self._out: dict[str, torch.Tensor] = {}
        self._look: Any = None
        self._uploaded: Packed | None = None
        with DEVICE_LOCK, stream.active():
            self._motion = Packed(
                {
                    name: ((1, *(int(n) for n in tensor.shape if n != BATCH)), torch.float32)
                    for name, tensor in MOTION.items()
                },
                stream,
            )
            self._motion.send()  # zeros, for the run that `prepare` makes
            for name, tensor in self._motion.on_device.items():
                animate.bind(name, tensor)
        self._blender = DeviceAttributeBlender(avatar, attributes, names, animate.dtypes, stream)
        self.set_avatar(self._blender.blend({}))

    def attribute_blender(self) -> DeviceAttributeBlender:
        """Of this avatar, on the device."""
        return self._blender

    def set_avatar(self, look: Avatar | DeviceLook) -> None:
        """Switch to the same avatar with other attribute weights; what comes from this poser's blender needs no copy."""
        if isinstance(look, DeviceLook):
            if look is not self._look:
                self._bind(look.tensors)
                self._uploaded = None
        else:
            if look.rig.actions is not self._avatar.rig.actions:
                raise ValueError("another avatar's rig: open an engine for that avatar")
            arrays = canonical_arrays(look) | binding_arrays(look)
            with DEVICE_LOCK, self._stream.active():
                # The same arrays with other contents
                if look is self._look and self._uploaded is not None:
                    self._uploaded.fill(arrays)
                else:
                    self._uploaded = uploaded(arrays, self._stream, self._graph.dtypes)
                    self._bind(self._uploaded.on_device)
        self._look = look

    def pose(
        self,
        expression: FloatArray,
        gaze: FloatArray,
        pose: HeadPose,
        *,
        residual: Float32Array | None = None,
        secondary: FloatArray | None = None,
    ) -> DeviceGaussians:
        """As `Animator.pose`, but on the device."""
        arrays = motion_arrays(expression, gaze, pose, residual, secondary)
        with DEVICE_LOCK, self._stream.active():
            self._motion.fill(arrays)
            self._graph.run()
        out = self._out
        return DeviceGaussians(
            (
                out["means"][0],
                out["quats"][0],
                out["scales"][0],
                out["opacities"][0],
                out["colors"][0],
            ),
            self._stream,
        )

    def _bind(self, tensors: Mapping[str, torch.Tensor]) -> None:
        count = len(tensors["surface_opacities"]) + len(tensors["rigid_opacities"])
        with DEVICE_LOCK, self._stream.active():
            for name, tensor in tensors.items():
                self._graph.bind(name, tensor)
            for name, described in POSED.items():
                shape = (
                    1 if n == BATCH else n if isinstance(n, int) else count for n in described.shape
                )
                self._out[name] = torch.empty(
                    *shape, dtype=torch.float32, device=self._stream.device
                )
                self._graph.bind(name, self._out[name])
            self._graph.prepare()


class DeviceDrawer:
    """Draws the output of a poser on the device by gsplat."""

    def __init__(self, width: int, height: int) -> None:
        """width, height: pixels."""
        self._size = (width, height)
        self._painters: dict[int, DevicePainter] = {}

    def render(
        self, gaussians: DeviceGaussians, camera: Camera, *, background: tuple[float, float, float]
    ) -> UInt8Array:
        """Over a background (sRGB); (H, W, 3) RGB, a work buffer."""
        return self._painted(gaussians, camera, background, "rgb")

    def render_rgba(self, gaussians: DeviceGaussians, camera: Camera) -> UInt8Array:
        """Alone; (H, W, 4) RGBA premultiplied by alpha, a work buffer."""
        return self._painted(gaussians, camera, (0.0, 0.0, 0.0), "rgba")

    def _painted(
        self,
        gaussians: DeviceGaussians,
        camera: Camera,
        background: tuple[float, float, float],
        kind: str,
    ) -> Any:
        key = id(gaussians.stream)
        if key not in self._painters:
            self._painters = {key: DevicePainter(*self._size, gaussians.stream)}
        return self._painters[key].paint(gaussians.tensors, camera, background, kind)[0]


def draw_first_frame(engine: Engine, avatar: Avatar, size: tuple[int, int]) -> None:
    """Blend, pose and draw once, and release the memory. size: width and height, pixels.

    Raises any error, such as too little memory on the GPU, while another engine can still be chosen.
    """
    poser = engine.poser(avatar, threads=1)
    poser.set_avatar(poser.attribute_blender().blend({one.name: 1.0 for one in avatar.attributes}))
    gaussians = poser.pose(
        np.zeros(52, np.float32), np.zeros((2, 2), np.float32), facing_pose(avatar)
    )
    camera = avatar.source.camera.resized(*size)
    drawer = engine.drawer(*size, threads=1)
    picture = drawer.render(gaussians, camera, background=(0.0, 0.0, 0.0))
    drawer.render_rgba(gaussians, camera)
    if not picture.any():
        raise RuntimeError("the picture is empty")
    on_gpu = gaussians.stream.on_gpu
    del poser, gaussians, drawer, picture
    if on_gpu:
        with DEVICE_LOCK:
            torch.cuda.empty_cache()
