"""A torch device and a stream on it, and work on fixed tensors that is captured as a CUDA graph.

Rules of the CUDA runtime that this module enforces: everything of one user runs on one stream, in the order of the
calls; waiting is done on events that put the thread to sleep, with Python's global lock released; nothing waits for the whole
device or allocates page-locked memory while a graph is being captured. On the CPU, where torch computes at once, streams, events
and captures do nothing.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

_log = logging.getLogger(__name__)

DEVICE_LOCK = threading.RLock()
"""Held by whoever captures a graph, uploads, or issues the work of a frame: torch allows one capture at a time in a process, and
hands out 32 streams in turn, so that two users of many may share one."""

_ALIGNMENT = 256  # bytes: what TensorRT wants of an address


class DeviceStream:
    """A device, and on a GPU a separate stream for all operations of one user."""

    def __init__(self, device: str = "cuda") -> None:
        """device: "cuda" or "cpu"."""
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        self.stream: Any = torch.cuda.Stream() if self.on_gpu else None
        self._event: Any = torch.cuda.Event(blocking=True) if self.on_gpu else None

    @property
    def handle(self) -> int:
        """The CUDA stream handle, for libraries; 0 on the CPU."""
        return int(self.stream.cuda_stream) if self.on_gpu else 0

    def active(self) -> AbstractContextManager[Any]:
        """Within this block torch's calls go to the stream."""
        return torch.cuda.stream(self.stream) if self.on_gpu else contextlib.nullcontext()

    def wait(self) -> None:
        """Wait until all issued work is done; the thread sleeps and releases the GIL."""
        if self.on_gpu:
            self._event.record(self.stream)
            self._event.synchronize()

    def host(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        """A host tensor for transfers: page-locked where there is a GPU."""
        with DEVICE_LOCK:  # no page-locked memory may be allocated during a capture
            return (
                torch.zeros(shape, dtype=dtype, pin_memory=True)
                if self.on_gpu
                else torch.zeros(shape, dtype=dtype)
            )


class Packed:
    """Tensors packed into one buffer on the host and one on the device, transferred by one copy."""

    def __init__(
        self, layout: Mapping[str, tuple[tuple[int, ...], torch.dtype]], stream: DeviceStream
    ) -> None:
        """layout: shapes and types by name. To be called, as `send`, within `stream.active()`."""
        sizes = [int(np.prod(shape)) * dtype.itemsize for shape, dtype in layout.values()]
        starts = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)]).tolist()
        self._host = stream.host(max(starts[-1], 1), dtype=torch.uint8)
        self._device = torch.empty(max(starts[-1], 1), dtype=torch.uint8, device=stream.device)

        def views(memory: torch.Tensor) -> dict[str, torch.Tensor]:
            return {
                name: memory[start : start + size].view(dtype).view(shape)
                for (name, (shape, dtype)), start, size in zip(
                    layout.items(), starts, sizes, strict=False
                )
            }

        self.on_host = views(self._host)
        """By name; what is written here is sent."""
        self.on_device = views(self._device)
        """By name."""
        self._sent: Any = torch.cuda.Event(blocking=True) if stream.on_gpu else None
        self._stream = stream

    def fill(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays to the host's half, and start the copy to the device."""
        self.wait_until_sent()
        for name, array in arrays.items():
            self.on_host[name].numpy()[...] = array
        self.send()

    def send(self) -> None:
        """Start the copy to the device; one at a time."""
        self._device.copy_(self._host, non_blocking=True)
        if self._sent is not None:
            self._sent.record(self._stream.stream)

    def wait_until_sent(self) -> None:
        """Until the host's half may be written to again."""
        if self._sent is not None:
            self._sent.synchronize()


def uploaded(
    arrays: Mapping[str, np.ndarray],
    stream: DeviceStream,
    dtypes: Mapping[str, torch.dtype] | None = None,
) -> Packed:
    """Arrays as tensors on the device; dtypes: of those that are stored as another type. To be called within `active`."""
    kinds = dtypes or {}
    packed = Packed(
        {
            name: (array.shape, kinds.get(name, torch.from_numpy(array[:0]).dtype))
            for name, array in arrays.items()
        },
        stream,
    )
    packed.fill(arrays)
    return packed


class Captured:
    """Work on tensors that stay where they are, on a stream: captured as a CUDA graph, and replayed from then on.

    `work` must do the same calls each time, without looking at results and without waiting. Where the capture fails, the work is
    done call by call, which is slower but the same.
    """

    def __init__(self, work: Callable[[], None], stream: DeviceStream) -> None:
        self._work, self._stream = work, stream
        self._graph: Any = None
        self._plain = not stream.on_gpu

    def forget(self) -> None:
        """The tensors lie elsewhere or have other shapes: capture again at the next run."""
        self._graph, self._plain = None, not self._stream.on_gpu

    def prepare(self) -> None:
        """Do the work once and capture it, if that was not done yet. Raises what the work raises."""
        if self._graph is not None or self._plain:
            return
        # The block also puts torch's stream back where a failed capture left another one
        with DEVICE_LOCK, self._stream.active():
            self._work()  # first runs allocate, load kernels and pick algorithms, none of which may be captured
            self._stream.wait()
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(
                    graph, stream=self._stream.stream, capture_error_mode="thread_local"
                ):
                    self._work()
            except Exception as error:  # from any library that the work calls
                _log.warning(
                    "no CUDA graph (%s: %s): each frame is issued call by call",
                    type(error).__name__,
                    error,
                )
                self._plain = True
                return
            self._graph = graph

    def run(self) -> None:
        """Put the work on the stream."""
        self.prepare()
        with DEVICE_LOCK, self._stream.active():
            if self._graph is None:
                self._work()
            else:
                self._graph.replay()
