"""Graph capture and packed copies, on a stand-in for torch's CUDA calls: what is captured when, and what if that fails."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
import pytest
import torch

from engine_toys import dressable
from perse_live.device import DEVICE_LOCK, Captured, DeviceStream, Packed, uploaded
from runtime.engines.device import DeviceAttributeBlender, attributes_in_torch


class Recorder:
    """torch.cuda.graph and CUDAGraph: what `work` does under capture is not done, but replayed."""

    capturing = False

    def __init__(self) -> None:
        self.done: list[str] = []
        self.refuses = False
        recorder = self

        class Graph:
            def replay(self) -> None:
                recorder.done.append("replayed")

        class Capture:
            def __init__(self, graph: Graph, *, stream: Any, capture_error_mode: str) -> None:
                assert capture_error_mode == "thread_local"

            def __enter__(self) -> None:
                recorder.capturing = True

            def __exit__(self, *_: object) -> None:
                recorder.capturing = False
                if recorder.refuses:  # as torch does, in place of what was raised within
                    raise RuntimeError(
                        "CUDA error: operation failed due to a previous error during capture"
                    )

        self.graph, self.capture = Graph, Capture

    def work(self) -> None:
        if self.capturing and self.refuses:
            raise RuntimeError("operation not permitted when stream is capturing")
        if not self.capturing:
            self.done.append("worked")


class Stream(DeviceStream):
    def __init__(self) -> None:
        super().__init__("cpu")
        self.on_gpu = True
        self.entered = 0

    def active(self) -> contextlib.AbstractContextManager[Any]:
        self.entered += 1
        return contextlib.nullcontext()

    def wait(self) -> None: ...


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", made.graph)
    monkeypatch.setattr(torch.cuda, "graph", made.capture)
    return made


def test_work_is_captured_once_and_replayed_until_its_tensors_move(recorder: Recorder) -> None:
    captured = Captured(recorder.work, Stream())
    captured.prepare()
    assert recorder.done == ["worked"]
    captured.run()
    captured.run()
    assert recorder.done == ["worked", "replayed", "replayed"]
    captured.forget()
    captured.run()
    assert recorder.done[3:] == ["worked", "replayed"]


def test_a_capture_that_fails_leaves_plain_calls_and_the_streams_block(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.refuses = True
    stream = Stream()
    captured = Captured(recorder.work, stream)
    for _ in range(3):
        captured.run()
    assert recorder.done == ["worked"] * 4 and caplog.text.count("no CUDA graph") == 1
    assert stream.entered == 4  # the capture is within a block that puts torch's stream back


def test_what_the_work_itself_raises_is_not_taken_for_a_failed_capture(recorder: Recorder) -> None:
    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Captured(full, Stream()).prepare()


def test_no_two_threads_capture_at_once(recorder: Recorder) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.001)
        inside.pop()

    threads = [threading.Thread(target=Captured(work, Stream()).prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(most) == 8
    assert DEVICE_LOCK.acquire(blocking=False)
    DEVICE_LOCK.release()


def test_on_the_cpu_nothing_is_captured() -> None:
    done: list[int] = []
    captured = Captured(lambda: done.append(1), DeviceStream("cpu"))
    captured.prepare()
    captured.run()
    assert done == [1]


def test_packed_tensors_are_sent_by_one_copy_at_addresses_that_tensorrt_takes() -> None:
    stream = DeviceStream("cpu")
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([7, 8, 9], np.int32),
        "c": np.zeros((0, 4), np.float32),
        "d": np.ones((3, 1), np.float32)[::2],
    }
    packed = uploaded(arrays, stream, {"d": torch.float16})
    start = packed.on_device["a"].data_ptr()
    for name, tensor in packed.on_device.items():
        np.testing.assert_array_equal(tensor.numpy(), arrays[name])
        assert (tensor.data_ptr() - start) % 256 == 0 or not tensor.numel()
        assert tensor.is_contiguous()
    assert packed.on_device["d"].dtype == torch.float16
    packed.fill({"b": np.array([1, 2, 3], np.int32)})
    assert packed.on_device["b"].tolist() == [1, 2, 3] and packed.on_device["a"].sum() == 15


def test_packed_memory_of_the_host_is_not_the_devices() -> None:
    packed = Packed({"x": ((2,), torch.float32)}, DeviceStream("cpu"))
    packed.fill({"x": np.array([1, 2], np.float32)})
    packed.on_host["x"].zero_()
    assert packed.on_device["x"].tolist() == [1, 2]


def test_a_wardrobe_binds_and_prepares_its_graph_under_the_lock() -> None:
    """So that no other thread allocates page-locked memory while the graph is captured."""
    avatar, stream = dressable(), DeviceStream("cpu")
    graph, names = attributes_in_torch(avatar, stream)
    free: list[bool] = []

    def try_the_lock() -> None:
        free.append(DEVICE_LOCK.acquire(blocking=False))
        if free[-1]:
            DEVICE_LOCK.release()

    class Watched:
        """The same graph; another thread tries the lock meanwhile."""

        dtypes = graph.dtypes

        def bind(self, name: str, tensor: torch.Tensor) -> None:
            self._try()
            graph.bind(name, tensor)

        def prepare(self) -> None:
            self._try()
            graph.prepare()

        def run(self) -> None:
            graph.run()

        def _try(self) -> None:
            thread = threading.Thread(target=try_the_lock)
            thread.start()
            thread.join()

    DeviceAttributeBlender(avatar, Watched(), names, graph.dtypes, stream)
    assert free and not any(free)
