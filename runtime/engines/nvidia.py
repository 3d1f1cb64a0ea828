"""The exported graphs on an NVIDIA GPU, by TensorRT or TensorRT for RTX, drawn by gsplat.

Everything stays on the device and on one stream: a frame's motion goes up in one small copy, the engine writes Gaussians into
tensors that gsplat reads, and only the finished picture comes down. With all shapes known, a frame is one CUDA graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, FloatArray, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.dresser import Dresser
from perse_live.engines.folder import EngineFolder, GraphFile, Precision, read_folder
from perse_live.engines.graphs import (
    ANIMATE,
    ATTRIBUTES,
    BATCH,
    MOTION,
    POSED,
    RIGID,
    SURFACE,
    all_worn,
    binding_arrays,
    canonical_arrays,
    canonical_inputs,
    look_hash,
    motion_arrays,
    rig_hash,
)
from perse_live.engines.nvidia import Gpu, NvidiaBackend, collecting_logger, find_gpu, import_backend, serves
from perse_live.engines.trust import was_built_here
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from runtime.engines.contract import EngineName, EngineUnavailableError, Rebuild, Wardrobe

_ALIGNMENT = 64  # floats: TensorRT wants addresses that are multiples of 256 bytes


class NvidiaEngine:
    """Runs `animate`, and `attributes` where the folder has it for the very avatar."""

    def __init__(self, backend: NvidiaBackend, path: Path, avatar: Avatar, *, precision: Precision | None = None,
                 rebuild: Rebuild | None = None) -> None:
        """path: a folder of engines; precision: None takes what is there, fp16 first; rebuild: called where the folder has no
        engine for this GPU and version.

        Raises EngineUnavailableError with all causes.
        """
        self.name: EngineName = backend
        causes: list[str] = []
        trt: Any = None
        gpu: Gpu | None = None
        folder: EngineFolder | None = None
        try:
            trt = import_backend(backend)
        except ImportError as error:
            causes.append(str(error))
        try:
            gpu = find_gpu()
        except RuntimeError as error:
            causes.append(str(error))
        else:
            from perse_live.splatting.cuda import cuda_obstacles

            causes.extend(cuda_obstacles())
        try:
            folder = read_folder(path)
            graphs = folder.find(ANIMATE, "onnx") + folder.find(ANIMATE, backend)
            if not graphs:
                causes.append(f"{path}: has no graph: export with --engines {backend}")
            elif all(one.made_from != rig_hash(avatar.rig) for one in graphs):
                causes.append(f"{path}: made from another avatar ({folder.avatar}): export this one's engines")
        except UserError as error:
            causes.append(str(error))
        if causes or folder is None or gpu is None:
            raise EngineUnavailableError(self.name, causes)
        try:
            animate = _usable(folder, ANIMATE, backend, trt, gpu, precision)
            if animate is None and rebuild is not None:
                rebuild(path, backend)
                folder = read_folder(path)
                animate = _usable(folder, ANIMATE, backend, trt, gpu, precision)
            if animate is None:
                raise UserError(f"{path}: has no engine for {gpu.label} by {backend} {trt.__version__}"
                                f" ({_there(folder, backend)}): export again with --engines {backend}")
            self._limits = animate.limits
            if said := _beyond(avatar, animate.limits):
                raise UserError(f"{path}: {said}: export the engines again, after its attributes are as they should be")
            self._module, self._folder = trt, folder
            self._logger, self._errors = collecting_logger(trt)
            self._runtime = trt.Runtime(self._logger)
            self._animate = self._deserialized(animate)
            attributes = _usable(folder, ATTRIBUTES, backend, trt, gpu, animate.precision)
            self._look_hash = "" if attributes is None else attributes.made_from
            self._attributes = None if attributes is None else self._deserialized(attributes)
        except UserError as error:
            raise EngineUnavailableError(self.name, [str(error)]) from error
        import torch

        self._stream: Any = torch.cuda.Stream()

    def poser(self, avatar: Avatar, *, threads: int) -> NvidiaPoser:
        """An execution context of its own for an avatar of this rig. Raises ValueError where it has too many Gaussians."""
        if said := _beyond(avatar, self._limits):
            raise ValueError(said)
        attributes = self._attributes if look_hash(avatar) == self._look_hash else None
        return NvidiaPoser(self._module, avatar, self._animate, attributes, self._folder.attributes, self._stream)

    def drawer(self, width: int, height: int, *, threads: int) -> DeviceRasterizer:
        """Draws what the engine wrote."""
        return DeviceRasterizer(width, height, self._stream)

    def _deserialized(self, file: GraphFile) -> Any:
        engine = self._runtime.deserialize_cuda_engine(self._folder.read(file))
        if engine is None:
            said = "; ".join(self._errors) or "no reason given"
            raise UserError(f"{file.file} does not open: {said}: export the engines again")
        return engine


def _usable(folder: EngineFolder, graph: str, backend: NvidiaBackend, trt: Any, gpu: Gpu, precision: Precision | None
            ) -> GraphFile | None:
    """The folder's engine for this GPU and version that was built on this machine, in half precision first."""
    for one in reversed(folder.find(graph, backend, precision)):
        if one.version == trt.__version__ and serves(backend, one.device, gpu) and was_built_here(one.sha256):
            return one
    return None


def _beyond(avatar: Avatar, limits: Mapping[str, tuple[int, int, int]]) -> str:
    """What of an avatar an engine is not made for; empty where there is nothing."""
    full = all_worn(avatar)
    for axis, count in ((SURFACE, len(full.surface.triangles)), (RIGID, len(full.rigid.means))):
        least, _, most = limits[axis]
        if not least <= count <= most:
            return f"the engine is for {least} to {most} Gaussians of the kind {axis!r}, the avatar has {count}"
    return ""


def _there(folder: EngineFolder, backend: NvidiaBackend) -> str:
    return ", ".join(f"for {one.device} by {one.version}{'' if was_built_here(one.sha256) else ', built on another machine'}"
                     for one in folder.find(ANIMATE, backend)) or "none is there"


class DeviceGraph:
    """A compiled graph whose inputs and outputs are torch tensors on the GPU."""

    def __init__(self, module: Any, engine: Any, stream: Any) -> None:
        """module: the backend's; engine: deserialised; stream: torch's, on which everything runs."""
        self._stream, self._graph = stream, None
        self._own_graphs = hasattr(module, "CudaGraphStrategy")  # TensorRT for RTX captures by itself, once its kernels are ready
        if self._own_graphs:
            config = engine.create_runtime_config()
            config.cuda_graph_strategy = module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            config.dynamic_shapes_kernel_specialization_strategy = module.DynamicShapesKernelSpecializationStrategy.EAGER
            self._context = engine.create_execution_context(config)
        else:
            self._context = engine.create_execution_context()
        if self._context is None:
            raise RuntimeError("the engine gives no execution context: too little memory on the GPU?")
        names = [engine.get_tensor_name(k) for k in range(engine.num_io_tensors)]
        self.inputs = [name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT]
        self.outputs = [name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.OUTPUT]
        self._bound: dict[str, Any] = {}

    def bind(self, name: str, tensor: Any) -> None:
        """Read an input from a tensor, or write an output into it; it must stay where it is."""
        before = self._bound.get(name)
        if name in self.inputs and (before is None or before.shape != tensor.shape):
            self._must(self._context.set_input_shape(name, tuple(tensor.shape)), f"shape of {name}: {tuple(tensor.shape)}")
        self._must(self._context.set_tensor_address(name, tensor.data_ptr()), f"address of {name}")
        self._bound[name], self._graph = tensor, None

    def shape_of(self, output: str) -> tuple[int, ...]:
        """An output's shape, once all inputs are bound."""
        missing = self._context.infer_shapes()
        self._must(not missing, f"shapes of {', '.join(missing)}")
        return tuple(self._context.get_tensor_shape(output))

    def run(self) -> None:
        """Put one evaluation on the stream."""
        import torch

        if self._own_graphs:
            self._execute(self._stream)
            return
        if self._graph is None:
            self._execute(self._stream)  # once outside, as the first run of new shapes does what must not be captured
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._stream):
                self._execute(self._stream)
            self._graph = graph
        with torch.cuda.stream(self._stream):
            self._graph.replay()

    def _execute(self, stream: Any) -> None:
        self._must(self._context.execute_async_v3(stream.cuda_stream), "execution")

    @staticmethod
    def _must(done: bool, what: str) -> None:
        if not done:
            raise RuntimeError(f"the engine refuses: {what}")


class NvidiaPoser:
    """Poses one avatar by the graph `animate`; its results are tensors on the GPU, valid on the engine's stream."""

    def __init__(self, module: Any, avatar: Avatar, animate: Any, attributes: Any | None, names: tuple[str, ...],
                 stream: Any) -> None:
        import torch

        self._torch, self._module, self._avatar, self._stream, self._names = torch, module, avatar, stream, names
        self._attributes, self._graph = attributes, DeviceGraph(module, animate, stream)
        sizes = {name: int(np.prod([int(n) for n in tensor.shape if n != BATCH])) for name, tensor in MOTION.items()}
        starts = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes.values())])
        self._host = torch.zeros(int(starts[-1]), dtype=torch.float32, pin_memory=True)
        with torch.cuda.stream(stream):  # whatever fills memory does so before the engine reads it, and it is freed in that order
            self._device = torch.zeros(int(starts[-1]), dtype=torch.float32, device="cuda")
        self._places = {name: slice(int(start), int(start) + sizes[name]) for name, start in zip(sizes, starts, strict=False)}
        self._sent = torch.cuda.Event()
        for name, tensor in MOTION.items():
            self._graph.bind(name, self._device[self._places[name]].view(1, *(int(n) for n in tensor.shape[1:])))
        self._look: Any = None
        self._out: dict[str, Any] = {}
        self.wear(avatar)

    def wardrobe(self) -> Wardrobe:
        """The graph `attributes` on the GPU where it is this avatar's, else the numba kernels and an upload."""
        if self._attributes is None:
            return Dresser(self._avatar)
        return DeviceWardrobe(self._module, self._avatar, self._attributes, self._names, self._stream)

    def wear(self, look: Avatar | DeviceLook) -> None:
        """Go on with the same avatar in other attributes; what comes from this poser's wardrobe needs no copy."""
        torch = self._torch
        if isinstance(look, DeviceLook):
            if look is not self._look:
                self._bind_all(look.tensors)
        else:
            if look.rig.actions is not self._avatar.rig.actions:
                raise ValueError("another avatar's rig: open an engine of its own for it")
            arrays = canonical_arrays(look) | binding_arrays(look)
            with torch.cuda.stream(self._stream):
                if look is self._look:  # the same arrays with other contents
                    for name in canonical_inputs(0):
                        self._tensors[name].copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))
                else:
                    self._bind_all({name: torch.from_numpy(np.ascontiguousarray(array)).to("cuda")
                                    for name, array in arrays.items()})
        self._look = look

    def pose(self, expression: FloatArray, gaze: FloatArray, pose: HeadPose, *,
             residual: Float32Array | None = None) -> Gaussians:
        """As `Animator.pose`, but of tensors on the GPU."""
        torch = self._torch
        self._sent.synchronize()  # the last frame's motion has left the host's buffer
        host = self._host.numpy()
        for name, array in motion_arrays(expression, gaze, pose, residual).items():
            host[self._places[name]] = array.reshape(-1)
        with torch.cuda.stream(self._stream):
            self._device.copy_(self._host, non_blocking=True)
            self._sent.record(self._stream)
        self._graph.run()
        out = self._out
        return Gaussians(out["means"][0], out["quats"][0], out["scales"][0], out["opacities"][0], out["colors"])

    def _bind_all(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = dict(tensors)
        for name, tensor in tensors.items():
            self._graph.bind(name, tensor)
        for name in POSED:
            with self._torch.cuda.stream(self._stream):
                self._out[name] = self._torch.empty(self._graph.shape_of(name), dtype=self._torch.float32, device="cuda")
            self._graph.bind(name, self._out[name])


class DeviceLook:
    """What an avatar wears, on the GPU: tensors by the names of `animate`'s inputs."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self.tensors = tensors


class DeviceWardrobe:
    """Dresses one avatar by the graph `attributes`, which writes where `animate` reads."""

    def __init__(self, module: Any, avatar: Avatar, attributes: Any, names: tuple[str, ...], stream: Any) -> None:
        import torch

        self._torch, self._names, self._stream = torch, names, stream
        full = all_worn(avatar)
        with torch.cuda.stream(stream):
            tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).to("cuda")
                       for name, array in (canonical_arrays(full) | binding_arrays(full)).items()}
            self._weights = torch.zeros(len(names), dtype=torch.float32, device="cuda")
        self._look, self._graph = DeviceLook(tensors), DeviceGraph(module, attributes, stream)
        self._graph.bind("weights", self._weights)
        for name in canonical_inputs(0):
            self._graph.bind(name, tensors[name])

    def wear(self, weights: Mapping[str, float]) -> DeviceLook:
        """The avatar under weights; a work buffer."""
        row = self._torch.tensor([float(weights.get(name, 0.0)) for name in self._names], dtype=self._torch.float32)
        with self._torch.cuda.stream(self._stream):
            self._weights.copy_(row)
        self._graph.run()
        return self._look


class DeviceRasterizer:
    """gsplat on tensors that are on the GPU already; a picture is all that comes down."""

    def __init__(self, width: int, height: int, stream: Any) -> None:
        """width, height: pixels; stream: the engine's."""
        self._size, self._stream = (height, width), stream
        self._pictures: dict[int, Any] = {}

    def render(self, gaussians: Gaussians, camera: Camera, *, background: tuple[float, float, float]) -> UInt8Array:
        """Over a background (sRGB); (H, W, 3) RGB, a work buffer."""
        return self._drawn(gaussians, camera, background, 3)

    def render_rgba(self, gaussians: Gaussians, camera: Camera) -> UInt8Array:
        """Alone; (H, W, 4) RGBA premultiplied by alpha, a work buffer."""
        return self._drawn(gaussians, camera, (0.0, 0.0, 0.0), 4)

    def _drawn(self, gaussians: Gaussians, camera: Camera, background: tuple[float, float, float], channels: int) -> UInt8Array:
        import torch

        from perse_live.splatting.cuda import draw

        if (camera.height, camera.width) != self._size:
            raise ValueError(f"the rasteriser is for pictures of {self._size[1]}x{self._size[0]}")
        if channels not in self._pictures:
            self._pictures[channels] = torch.empty((*self._size, channels), dtype=torch.uint8, pin_memory=True)
        picture = self._pictures[channels]
        tensors: tuple[Any, ...] = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors)
        with torch.no_grad(), torch.cuda.stream(self._stream):
            image = cast("Any", draw)(*tensors, camera, background)[..., :channels]
            picture.copy_((image.clamp(0, 1) * 255 + 0.5).to(torch.uint8), non_blocking=True)
        self._stream.synchronize()
        return picture.numpy()
