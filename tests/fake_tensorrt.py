"""A stand-in for TensorRT's Python bindings, so that the runner's code runs where there is no GPU.

It offers only names that the real 11.x bindings have (`tensorrt_11_api.txt`, introspected from them), with their parameters,
and an "engine" is an ONNX file: execution reads inputs from the addresses that were set and writes outputs to theirs, by ONNX
Runtime. So what is proved is the runner's part: which calls it makes, in which order, with which shapes and addresses, and that
the numbers come out right. Nothing about CUDA itself is.
"""

from __future__ import annotations

import ctypes
import re
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime

FACTS = (Path(__file__).parent / "tensorrt_11_api.txt").read_text(encoding="utf-8")
__version__ = "11.4.0.106"


def members(name: str) -> set[str]:
    """Of a class of the real bindings."""
    found = re.search(rf"^{name} (\[.*\])$", FACTS, re.MULTILINE)
    assert found, name
    return set(re.findall(r"'(\w+)'", found[1]))


Class = TypeVar("Class", bound=type)


def only_real(cls: Class) -> Class:
    """Refuse to offer what the real class has not."""
    invented = {name for name in vars(cls) if not name.startswith("_")} - members(cls.__name__)
    assert not invented, f"{cls.__name__} has no {invented}"
    return cls


class TensorIOMode(Enum):
    NONE, INPUT, OUTPUT = range(3)


class DataType(Enum):
    FLOAT, HALF, INT32 = range(3)


_TYPES = {
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(float16)": (DataType.HALF, np.float16),
    "tensor(int32)": (DataType.INT32, np.int32),
}


class ILogger:
    class Severity(Enum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None:
        self.made = True

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


@only_real
class Runtime:
    def __init__(self, logger: ILogger) -> None:
        assert logger.made
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if not serialized_engine:
            self._logger.log(ILogger.Severity.ERROR, "the plan is empty")
            return None
        return ICudaEngine(serialized_engine)


@only_real
class ICudaEngine:
    def __init__(self, content: bytes) -> None:
        self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        self._inputs = {one.name: one for one in self._session.get_inputs()}
        self._outputs = {one.name: one for one in self._session.get_outputs()}
        self._names = [*self._inputs, *self._outputs]

    @property
    def num_io_tensors(self) -> int:
        return len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return _TYPES[(self._inputs | self._outputs)[name].type][0]

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(
        self, runtime_config: IRuntimeConfig | None = None
    ) -> IExecutionContext:
        made.append(runtime_config)
        return IExecutionContext(self)


class IRuntimeConfig:
    """Of TensorRT for RTX: what is set on it is compared with its own bindings."""

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self)[name] = value


made: list[IRuntimeConfig | None] = []
"""What each execution context was made with."""


@only_real
class IExecutionContext:
    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        declared = self._engine._inputs[name].shape
        assert len(declared) == len(shape)
        if any(
            isinstance(axis, int) and axis != length
            for axis, length in zip(declared, shape, strict=True)
        ):
            return False
        self._shapes[name] = shape
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert name in self._engine._names
        self._addresses[name] = memory
        # The real one wants 256, which torch gives on a GPU, but not on the CPU
        return memory % 64 == 0

    def infer_shapes(self) -> list[str]:
        return [name for name in self._engine._inputs if name not in self._shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        lengths: dict[str, int] = {}
        for key, shape in self._shapes.items():
            lengths.update(
                {
                    axis: n
                    for axis, n in zip(self._engine._inputs[key].shape, shape, strict=True)
                    if isinstance(axis, str)
                }
            )
        declared = self._engine._outputs[name].shape
        return tuple(
            axis if isinstance(axis, int) else sum(lengths[part] for part in axis.split(" + "))
            for axis in declared
        )

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle == 77
        if self.infer_shapes() or set(self._addresses) != set(self._engine._names):
            return False
        feeds = {
            name: _at(self._addresses[name], self._shapes[name], _TYPES[one.type][1])
            for name, one in self._engine._inputs.items()
        }
        for name, value in zip(
            self._engine._outputs, self._engine._session.run(None, feeds), strict=True
        ):
            assert value.shape == self.get_tensor_shape(name)
            _at(self._addresses[name], value.shape, np.float32)[...] = value
        return True


def _at(address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The array at an address."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return (
        np.ctypeslib.as_array((ctypes.c_byte * size).from_address(address))
        .view(dtype)
        .reshape(shape)
    )
