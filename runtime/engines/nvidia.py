"""The exported graphs on an NVIDIA GPU, by TensorRT or TensorRT for RTX; the rest of posing and drawing is in `device`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perse_live.avatar import Avatar
from perse_live.engines.folder import EngineFolder, GraphFile, Precision, read_folder
from perse_live.engines.graphs import (
    ANIMATE,
    ATTRIBUTES,
    CORRECTED,
    RIGID,
    SURFACE,
    limits_of,
    look_hash,
    rig_hash,
)
from perse_live.engines.nvidia import (
    Gpu,
    NvidiaBackend,
    collecting_logger,
    find_gpu,
    import_backend,
    serves,
)
from perse_live.engines.trust import was_built_here
from perse_live.errors import UserError, gist, one_line
from runtime.engines.contract import EngineName, EngineUnavailableError, Rebuild
from runtime.engines.torch_gpu import gpu_obstacles

if TYPE_CHECKING:
    import torch

    from perse_live.device import DeviceStream
    from runtime.engines.device import DeviceDrawer, DevicePoser


class NvidiaEngine:
    """Runs `animate`, and `attributes` where the folder has it for this avatar; else the torch module of it."""

    def __init__(
        self,
        backend: NvidiaBackend,
        path: Path,
        avatar: Avatar,
        *,
        precision: Precision | None = None,
        rebuild: Rebuild | None = None,
        size: tuple[int, int] = (512, 512),
        device: str = "cuda",
    ) -> None:
        """path: a folder of engines; precision: None takes what is there, fp16 first; rebuild: called where the folder has no
        engine for this GPU and version; size: width and height of the picture that is drawn to see whether all works; device:
        "cpu" is for tests.

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
        causes.extend(obstacles := gpu_obstacles())
        try:
            gpu = None if obstacles else find_gpu()
        except RuntimeError as error:
            causes.append(str(error))
        try:
            folder = read_folder(path)
            graphs = folder.find(ANIMATE, "onnx") + folder.find(ANIMATE, backend)
            if not graphs:
                causes.append(f"{path}: has no graph: export with --engines {backend}")
            elif all(one.made_from != rig_hash(avatar.rig) for one in graphs):
                causes.append(
                    f"{path}: made from another avatar ({folder.avatar}): export this one's engines"
                )
        except UserError as error:
            causes.append(str(error))
        if causes or folder is None or gpu is None:
            raise EngineUnavailableError(self.name, causes)
        from runtime.engines.device import draw_first_frame

        self._module, self._device = trt, device
        self._errors: list[str] = []
        animate = _usable(folder, ANIMATE, backend, trt, gpu, precision)
        if animate is None:
            lacking = (
                f"{path}: has no engine for {gpu.label} by {backend} {trt.__version__} ({_there(folder, backend)}): export"
                f" again with --engines {backend}"
            )
            if rebuild is None:
                raise EngineUnavailableError(
                    self.name, [lacking], rebuilding_helps=bool(folder.find(ANIMATE, "onnx"))
                )
            try:
                rebuild(path, backend)
                folder = read_folder(path)
            except UserError as error:
                raise EngineUnavailableError(self.name, [str(error)]) from error
            except Exception as error:  # compilers raise exceptions of many types
                raise EngineUnavailableError(
                    self.name, [f"{path}: cannot be rebuilt ({gist(error)})"]
                ) from error
            animate = _usable(folder, ANIMATE, backend, trt, gpu, precision)
            if animate is None:
                raise EngineUnavailableError(self.name, [lacking])
        try:
            self._limits, self._folder = animate.limits, folder
            if obstacle := _beyond(avatar, animate.limits):
                raise UserError(
                    f"{path}: {obstacle}: export the engines again, after its attributes are as they should be"
                )
            self._logger, self._errors = collecting_logger(trt)
            self._runtime = trt.Runtime(self._logger)
            self._animate = self._deserialized(animate)
            attributes = _usable(folder, ATTRIBUTES, backend, trt, gpu, animate.precision)
            self._look_hash = "" if attributes is None else attributes.made_from
            self._attributes = None if attributes is None else self._deserialized(attributes)
            draw_first_frame(self, avatar, size)
        except UserError as error:
            raise EngineUnavailableError(self.name, [str(error)]) from error
        except Exception as error:
            # of the bindings (TypeError with an old driver), of torch (memory), of gsplat
            obstacle = "; ".join(
                dict.fromkeys([gist(error), *(one_line(text, 200) for text in self._errors)])
            )
            raise EngineUnavailableError(
                self.name, [f"{path}: cannot draw a frame ({obstacle})"]
            ) from error

    def poser(self, avatar: Avatar, *, threads: int) -> DevicePoser:
        """With a separate stream and execution contexts. Raises ValueError for an avatar of another rig or with too many
        Gaussians.
        """
        from perse_live.device import DeviceStream
        from runtime.engines.device import DeviceGraph, DevicePoser, attributes_in_torch

        if obstacle := _beyond(avatar, self._limits):
            raise ValueError(obstacle)
        stream = DeviceStream(self._device)
        animate = TensorRtGraph(self._module, self._animate, stream)
        attributes: DeviceGraph
        if self._attributes is not None and look_hash(avatar) == self._look_hash:
            attributes, names = (
                TensorRtGraph(self._module, self._attributes, stream),
                self._folder.attributes,
            )
        else:
            attributes, names = attributes_in_torch(avatar, stream)
        return DevicePoser(avatar, animate, attributes, names, stream)

    def drawer(self, width: int, height: int, *, threads: int) -> DeviceDrawer:
        """By gsplat."""
        from runtime.engines.device import DeviceDrawer

        return DeviceDrawer(width, height)

    def _deserialized(self, file: GraphFile) -> Any:
        engine = self._runtime.deserialize_cuda_engine(self._folder.read(file))
        if engine is None:
            obstacle = "; ".join(self._errors) or "no reason given"
            raise UserError(f"{file.file} does not open: {obstacle}: export the engines again")
        return engine


def _usable(
    folder: EngineFolder,
    graph: str,
    backend: NvidiaBackend,
    trt: Any,
    gpu: Gpu,
    precision: Precision | None,
) -> GraphFile | None:
    """The folder's engine for this GPU and version that was built on this machine, in half precision first."""
    for one in reversed(folder.find(graph, backend, precision)):
        if (
            one.version == trt.__version__
            and serves(backend, one.device, gpu)
            and was_built_here(one.sha256)
        ):
            return one
    return None


def _beyond(avatar: Avatar, limits: Mapping[str, tuple[int, int, int]]) -> str:
    """Limits of an engine that an avatar exceeds; empty for none."""
    for axis, (_, count, _) in limits_of(avatar).items():
        least, _, most = limits[axis]
        if axis in (SURFACE, RIGID, CORRECTED) and not least <= count <= most:
            return f"the engine is for {least} to {most} Gaussians of the kind {axis!r}, the avatar has {count}"
    return ""


def _there(folder: EngineFolder, backend: NvidiaBackend) -> str:
    return (
        ", ".join(
            f"for {one.device} by {one.version}{'' if was_built_here(one.sha256) else ', built on another machine'}"
            for one in folder.find(ANIMATE, backend)
        )
        or "none is there"
    )


class TensorRtGraph:
    """A compiled graph whose inputs and outputs are torch tensors on the GPU (`runtime.engines.device.DeviceGraph`)."""

    def __init__(self, module: Any, engine: Any, stream: DeviceStream) -> None:
        """module: the backend's; engine: deserialised."""
        import torch

        from perse_live.device import Captured

        self._stream = stream
        # TensorRT for RTX does, once its kernels are compiled
        self._captures_itself = hasattr(module, "CudaGraphStrategy")
        if self._captures_itself:
            config = engine.create_runtime_config()
            config.cuda_graph_strategy = module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            config.dynamic_shapes_kernel_specialization_strategy = (
                module.DynamicShapesKernelSpecializationStrategy.EAGER
            )
            self._context = engine.create_execution_context(config)
        else:
            self._context = engine.create_execution_context()
        if self._context is None:
            raise RuntimeError(
                "the engine gives no execution context: too little memory on the GPU?"
            )
        names = [engine.get_tensor_name(k) for k in range(engine.num_io_tensors)]
        self._inputs = {
            name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT
        }
        kinds = {
            module.DataType.FLOAT: torch.float32,
            module.DataType.HALF: torch.float16,
            module.DataType.INT32: torch.int32,
        }
        self.dtypes: dict[str, torch.dtype] = {
            name: kinds[engine.get_tensor_dtype(name)] for name in names
        }
        """Of its inputs and outputs."""
        self._outputs = [name for name in names if name not in self._inputs]
        self._bound: dict[str, torch.Tensor] = {}
        self._captured = Captured(self._execute, stream)

    def bind(self, name: str, tensor: torch.Tensor) -> None:
        """Read an input from a tensor, or write an output into it."""
        from runtime.engines.device import check_dtype

        check_dtype(name, tensor, self.dtypes[name])
        before = self._bound.get(name)
        if name in self._inputs and (before is None or before.shape != tensor.shape):
            self._must(
                self._context.set_input_shape(name, tuple(tensor.shape)),
                f"shape of {name}: {tuple(tensor.shape)}",
            )
        self._must(self._context.set_tensor_address(name, tensor.data_ptr()), f"address of {name}")
        self._bound[name] = tensor
        self._captured.forget()

    def prepare(self) -> None:
        """Check the outputs' shapes, which the engine knows now, and run once: compile what is left, and capture."""
        missing = self._context.infer_shapes()
        self._must(not missing, f"shapes of {', '.join(missing)}")
        for name in self._outputs:
            expected, bound = (
                tuple(self._context.get_tensor_shape(name)),
                tuple(self._bound[name].shape),
            )
            self._must(expected == bound, f"{name} of shape {bound}, it writes {expected}")
        if self._captures_itself:
            self.run()
            self._stream.wait()
        else:
            self._captured.prepare()

    def run(self) -> None:
        """Put one evaluation on the stream."""
        if not self._captures_itself:
            self._captured.run()
            return
        from perse_live.device import DEVICE_LOCK

        with DEVICE_LOCK:
            self._execute()

    def _execute(self) -> None:
        self._must(self._context.execute_async_v3(self._stream.handle), "execution")

    @staticmethod
    def _must(done: bool, what: str) -> None:
        if not done:
            raise RuntimeError(f"the engine refuses: {what}")
