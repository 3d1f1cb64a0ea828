from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import fake_tensorrt
from attribute_toys import toy_attribute
from engine_toys import dressable, folder_of, motion
from perse_live.attribute_blending import with_attributes
from perse_live.avatar import save_avatar
from perse_live.device import Captured, DeviceStream
from perse_live.engines import nvidia
from perse_live.engines.folder import MANIFEST, EngineFolder, GraphFile, manifest_text, read_folder
from perse_live.engines.graphs import ANIMATE, ATTRIBUTES
from perse_live.engines.nvidia import NvidiaBackend
from perse_live.engines.trust import record_built, was_built_here
from perse_live.errors import UserError
from perse_live.splatting import CpuRasterizer, cuda
from runtime.engines.choose import choose_engine
from runtime.engines.contract import EngineUnavailableError
from runtime.engines.cpu import CpuEngine
from runtime.engines.device import DeviceLook
from runtime.engines.nvidia import NvidiaEngine, TensorRtGraph
from runtime.engines.onnx_cpu import OnnxEngine
from runtime.engines.torch_gpu import TorchEngine
from runtime.live.thinning import thinned
from runtime.stage import Stage
from stand_in_gsplat import draw_by_numba

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow  # the graphs take half a minute to trace
WEIGHTS: tuple[dict[str, float], ...] = (
    {},
    {"hat-cap": 0.4},
    {"hat-cap": 0.7, "beard-full": 1.0},
    {"hat-cap": 0.7, "beard-full": 0.2},
    {},
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> EngineFolder:
    return folder_of(tmp_path_factory.mktemp("engines") / "toy.engines")


@pytest.fixture
def folder(exported: EngineFolder, tmp_path: Path) -> EngineFolder:
    """A copy that a test may spoil."""
    shutil.copytree(exported.path, tmp_path / "toy.engines")
    return replace(exported, path=tmp_path / "toy.engines")


def pictures(stage: Stage) -> list[np.ndarray]:
    blender = stage.attribute_blender()
    out: list[np.ndarray] = []
    for seed, weights in enumerate(WEIGHTS):
        stage.set_avatar(blender.blend(weights))
        out.append(stage.draw(motion(seed), background=(0.8, 0.8, 0.8)).copy())
    return out


def check_alike(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """The same pictures, but for single pixels where rounding decides what is drawn."""
    for one, other in zip(found, expected, strict=True):
        difference = np.abs(one.astype(int) - other.astype(int))
        assert (difference > 1).mean() < 2e-3, f"{(difference > 1).mean():.4%} of the values differ"
    assert any((one != expected[0]).any() for one in expected[1:])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_onnx_draws_what_the_cpu_draws_in_any_look(exported: EngineFolder, precision: Any) -> None:
    avatar = dressable()
    camera = avatar.source.camera.resized(192, 192)
    engine = OnnxEngine(exported.path, avatar, precision=precision)
    expected = pictures(Stage(avatar, camera, threads=1, engine=CpuEngine()))
    found = pictures(Stage(avatar, camera, threads=1, engine=engine))
    if precision == "fp32":
        check_alike(found, expected)
    assert (
        max(
            np.abs(one.astype(int) - other).mean()
            for one, other in zip(found, expected, strict=True)
        )
        < 0.25
    )


def test_onnx_poses_thinned_avatars_too(exported: EngineFolder) -> None:
    fewer = thinned(dressable(), 0.8)
    camera = fewer.source.camera.resized(96, 96)
    engine = OnnxEngine(exported.path, fewer)
    check_alike(
        pictures(Stage(fewer, camera, threads=1, engine=engine)),
        pictures(Stage(fewer, camera, threads=1)),
    )


def test_a_poser_refuses_another_rig(exported: EngineFolder) -> None:
    avatar = dressable()
    poser = OnnxEngine(exported.path, avatar).poser(avatar, threads=1)
    with pytest.raises(ValueError, match="another avatar's rig"):
        poser.set_avatar(
            replace(avatar, rig=replace(avatar.rig, actions=avatar.rig.actions.copy()))
        )


def test_the_live_path_by_onnx_needs_no_torch(exported: EngineFolder, tmp_path: Path) -> None:
    save_avatar(tmp_path / "toy.perse", dressable())
    program = (
        "import sys\nfrom pathlib import Path\nimport runtime.live.run\n"
        "from perse_live.avatar import load_avatar\nfrom runtime.engines.choose import choose_engine\n"
        f"avatar, folder = load_avatar(Path({str(tmp_path / 'toy.perse')!r})), Path({str(exported.path)!r})\n"
        "choose_engine('onnx', folder, avatar).engine.poser(avatar, threads=1)\nchoose_engine('auto', folder, avatar)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'offline', 'export', 'tensorrt')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]" or torch.cuda.is_available()


# --- torch's modules, on the CPU here


def test_the_torch_engine_draws_what_the_cpu_draws_in_any_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cuda, "draw", draw_by_numba)
    avatar = dressable()
    camera = avatar.source.camera.resized(192, 192)
    bare = replace(avatar, attributes=())
    tinted = replace(bare, attributes=(toy_attribute(bare, "hat-cap", "hat", seed=3),))
    engine = TorchEngine(avatar, device="cpu")
    for one in (avatar, thinned(avatar, 0.7), tinted):
        stage = Stage(one, camera, threads=1, engine=engine)
        check_alike(pictures(stage), pictures(Stage(one, camera, threads=1)))
    alpha = Stage(avatar, camera, threads=1, engine=engine).draw_rgba(motion(1))
    expected = Stage(avatar, camera, threads=1).draw_rgba(motion(1))
    assert (np.abs(alpha.astype(int) - expected) > 1).mean() < 2e-3
    with pytest.raises(ValueError, match="another avatar's rig"):
        engine.poser(
            replace(avatar, rig=replace(avatar.rig, actions=avatar.rig.actions + np.float32(1))),
            threads=1,
        )


def test_the_torch_engine_says_all_that_it_lacks() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "no NVIDIA driver" in causes(dressable(), engine=TorchEngine)
    with pytest.raises(
        UserError, match=r"the engine torch: there is no NVIDIA driver.*--engine cpu always works"
    ):
        choose_engine("torch", Path("none.engines"), dressable())


# --- what cannot be opened


def causes(*arguments: Any, engine: Any = OnnxEngine, **named: Any) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        engine(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_missing_or_half_written_says_what_to_do(
    folder: EngineFolder, tmp_path: Path
) -> None:
    avatar = dressable()
    assert "no such folder" in causes(tmp_path / "none", avatar)
    (folder.path / "animate.fp32.onnx").write_bytes(b"half")
    assert "damaged or half-written" in causes(folder.path, avatar)
    (folder.path / "animate.fp32.onnx").unlink()
    assert "cannot be read" in causes(folder.path, avatar)
    for text in (
        "{",
        "[]",
        '{"format": "other"}',
        json.dumps({"format": "perse-live engines", "format_version": 2}),
    ):
        (folder.path / MANIFEST).write_text(text)
        assert "damaged" in causes(folder.path, avatar)
    for version in (1, 9):
        (folder.path / MANIFEST).write_text(
            json.dumps({"format": "perse-live engines", "format_version": version})
        )
        assert f"of version {version}" in causes(folder.path, avatar)
    (folder.path / MANIFEST).unlink()
    assert "half-written" in causes(folder.path, avatar)


def test_files_outside_the_folder_are_not_read(folder: EngineFolder) -> None:
    spoiled = replace(folder, files=(replace(folder.files[0], file="../animate.onnx"),))
    (folder.path / MANIFEST).write_text(manifest_text(spoiled))
    with pytest.raises(UserError, match="not a file's name"):
        read_folder(folder.path)


def test_engines_of_another_avatar_are_refused(folder: EngineFolder) -> None:
    avatar = dressable()
    other = replace(avatar, rig=replace(avatar.rig, actions=avatar.rig.actions * np.float32(1.5)))
    assert "made from another avatar (toy.perse)" in causes(folder.path, other)
    assert "made from another avatar" in causes("tensorrt", folder.path, other, engine=NvidiaEngine)


def test_all_causes_are_in_one_message(folder: EngineFolder) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (folder.path / MANIFEST).unlink()
    said = causes("tensorrt-rtx", folder.path, dressable(), engine=NvidiaEngine)
    assert "no NVIDIA driver" in said and "half-written" in said
    with pytest.raises(UserError, match=r"no NVIDIA driver.*--engine cpu always works"):
        choose_engine("tensorrt-rtx", folder.path, dressable())


def test_auto_falls_back_to_the_cpu_and_says_why(folder: EngineFolder, tmp_path: Path) -> None:
    choice = choose_engine("auto", tmp_path / "none.engines", dressable())
    assert choice.engine.name == "cpu" and "no folder of engines" in choice.why
    if not torch.cuda.is_available():
        choice = choose_engine("auto", folder.path, dressable())
        assert choice.engine.name == "cpu" and not choice.unexpected
        assert all(f"{name}:" in choice.why for name in ("tensorrt", "tensorrt-rtx", "torch"))


# --- the runner on stand-ins: its logic, not CUDA's


class _Stream:
    cuda_stream = 77

    def synchronize(self) -> None: ...


class _Event:
    def __init__(self, blocking: bool = False) -> None:
        assert blocking  # a thread that waits for a frame sleeps

    def record(self, stream: object) -> None: ...

    def synchronize(self) -> None: ...


class _GpuStream(DeviceStream):
    """Thinks that it is on a GPU; its tensors lie in ordinary memory."""

    def __init__(self, device: str = "cuda") -> None:
        super().__init__("cpu")
        self.on_gpu, self.stream, self._event = True, _Stream(), _Event(blocking=True)

    def active(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def host(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype)


class _CapturedGraph:
    """Replays what ran under capture."""

    made: list[_CapturedGraph] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.replays = 0
        _CapturedGraph.made.append(self)

    def replay(self) -> None:
        self.replays += 1
        for context in self.calls:
            assert context.execute_async_v3(77)


class _Capture:
    def __init__(self, graph: _CapturedGraph, *, stream: object, capture_error_mode: str) -> None:
        assert isinstance(stream, _Stream) and capture_error_mode == "thread_local"
        self.graph = graph

    def __enter__(self) -> None:
        self.before = fake_tensorrt.IExecutionContext.execute_async_v3

        def recorded(context: Any, stream_handle: int) -> bool:
            self.graph.calls.append(context)
            return True

        fake_tensorrt.IExecutionContext.execute_async_v3 = recorded  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        fake_tensorrt.IExecutionContext.execute_async_v3 = self.before  # type: ignore[method-assign]


@pytest.fixture
def no_gpu_needed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's CUDA calls and TensorRT on stand-ins: tensors lie in ordinary memory."""
    gpu = nvidia.Gpu("NVIDIA GeForce RTX 4090", 89)
    monkeypatch.setattr("runtime.engines.nvidia.find_gpu", lambda: gpu)
    monkeypatch.setattr("runtime.engines.nvidia.import_backend", lambda _: fake_tensorrt)
    for module in ("nvidia", "torch_gpu"):
        monkeypatch.setattr(f"runtime.engines.{module}.gpu_obstacles", list)
    monkeypatch.setattr("perse_live.device.DeviceStream", _GpuStream)
    monkeypatch.setattr(cuda, "draw", draw_by_numba)
    # the stand-in for a captured graph replays TensorRT's executions only
    monkeypatch.setattr(
        "runtime.engines.device.Captured", lambda work, _: Captured(work, DeviceStream("cpu"))
    )
    for name, stand_in in (
        ("Stream", _Stream),
        ("Event", _Event),
        ("CUDAGraph", _CapturedGraph),
        ("graph", _Capture),
        ("empty_cache", lambda: None),
    ):
        monkeypatch.setattr(torch.cuda, name, stand_in)
    real: Any = torch.nn.Module.to
    monkeypatch.setattr(
        torch.nn.Module,
        "to",
        lambda self, *to: real(self, *("cpu" if one == "cuda" else one for one in to)),
    )
    _CapturedGraph.made.clear()
    # Of what was built here
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def with_engines(
    folder: EngineFolder,
    *,
    device: str = "NVIDIA-GeForce-RTX-4090-sm89",
    version: str = "11.4.0.106",
    backend: NvidiaBackend = "tensorrt",
) -> EngineFolder:
    """The folder, with its ONNX graphs as the stand-in's engines."""
    made: list[GraphFile] = [
        replace(one, backend=backend, device=device, version=version) for one in folder.files
    ]
    whole = replace(folder, files=(*folder.files, *made))
    (folder.path / MANIFEST).write_text(manifest_text(whole))
    for one in made:
        record_built(one.sha256)
    return whole


@pytest.mark.usefixtures("no_gpu_needed")
def test_engines_that_were_built_elsewhere_are_rebuilt_or_refused(
    folder: EngineFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled engine is code, and the manifest is of the same sender."""
    avatar = dressable()
    with_engines(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    said = causes("tensorrt", folder.path, avatar, engine=NvidiaEngine)
    assert "has no engine for" in said and "built on another machine" in said and "\n" not in said
    asked: list[object] = []

    def rebuild(path: Path, backend: object) -> None:
        asked.append(backend)
        with_engines(replace(folder, path=path))

    assert NvidiaEngine(
        "tensorrt", folder.path, avatar, rebuild=rebuild
    ).name == "tensorrt" and asked == ["tensorrt"]
    assert NvidiaEngine(
        "tensorrt", folder.path, avatar, rebuild=rebuild
    ).name == "tensorrt" and asked == ["tensorrt"]


def test_a_hash_is_all_that_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    record_built("a" * 64)
    assert was_built_here("a" * 64) and not was_built_here("b" * 64)
    for name in (
        "",
        ".",
        "../built-engines/" + "a" * 64,
        "a" * 63,
        "A" * 64,
        "a" * 64 + "\n",
        "\0",
    ):
        assert not was_built_here(name)


@pytest.mark.usefixtures("no_gpu_needed")
def test_the_runner_draws_what_the_cpu_draws_and_captures_once_for_each_shape(
    folder: EngineFolder,
) -> None:
    avatar = dressable()
    camera = avatar.source.camera.resized(192, 192)
    engine = NvidiaEngine("tensorrt", with_engines(folder).path, avatar, precision="fp32")
    _CapturedGraph.made.clear()
    stage = Stage(avatar, camera, threads=1, engine=engine)
    animate, attributes = sorted(_CapturedGraph.made, key=lambda graph: graph.replays)
    # Both are captured before the first frame
    assert (animate.replays, attributes.replays) == (0, 1)
    check_alike(pictures(stage), pictures(Stage(avatar, camera, threads=1)))
    assert len(_CapturedGraph.made) == 2 and (animate.replays, attributes.replays) == (5, 6)


@pytest.mark.usefixtures("no_gpu_needed")
def test_tensorrt_for_rtx_captures_by_itself(
    folder: EngineFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    module = SimpleNamespace(
        **vars(fake_tensorrt),
        CudaGraphStrategy=rtx.CudaGraphStrategy,
        DynamicShapesKernelSpecializationStrategy=rtx.DynamicShapesKernelSpecializationStrategy,
    )
    monkeypatch.setattr("runtime.engines.nvidia.import_backend", lambda _: module)
    with_engines(folder, backend="tensorrt-rtx", device="sm75+89")
    fake_tensorrt.made.clear()
    avatar = dressable()
    camera = avatar.source.camera.resized(96, 96)
    stage = Stage(
        avatar,
        camera,
        threads=1,
        engine=NvidiaEngine("tensorrt-rtx", folder.path, avatar, precision="fp32"),
    )
    check_alike(pictures(stage), pictures(Stage(avatar, camera, threads=1)))
    # Two graphs, to try the engine and to use it
    assert not _CapturedGraph.made and len(fake_tensorrt.made) == 4
    for config in fake_tensorrt.made:
        assert vars(config) == {
            "cuda_graph_strategy": rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE,
            "dynamic_shapes_kernel_specialization_strategy": rtx.DynamicShapesKernelSpecializationStrategy.EAGER,
        }
        assert all(isinstance(getattr(rtx.IRuntimeConfig, name), property) for name in vars(config))


@pytest.mark.usefixtures("no_gpu_needed")
def test_looks_from_the_graph_stay_on_the_device(folder: EngineFolder) -> None:
    avatar = dressable()
    poser = NvidiaEngine("tensorrt", with_engines(folder).path, avatar).poser(avatar, threads=1)
    blender = poser.attribute_blender()
    first, second = blender.blend({"hat-cap": 1}), blender.blend({"hat-cap": 0.2})
    assert first is second and isinstance(first, DeviceLook)


@pytest.mark.usefixtures("no_gpu_needed")
def test_thinned_and_tinted_avatars_are_dressed_on_the_device_too(folder: EngineFolder) -> None:
    """The folder's graph `attributes` is of the avatar as it was exported; torch computes those of other avatars."""
    avatar = dressable()
    camera = avatar.source.camera.resized(96, 96)
    engine = NvidiaEngine("tensorrt", with_engines(folder).path, avatar, precision="fp32")
    bare = replace(avatar, attributes=())
    tinted = replace(
        bare, attributes=(toy_attribute(bare, "hat-cap", "hat", seed=3, on_surface=20, free=10),)
    )
    for other in (thinned(avatar, 0.8), tinted):
        stage = Stage(other, camera, threads=1, engine=engine)
        check_alike(pictures(stage), pictures(Stage(other, camera, threads=1)))
        assert isinstance(stage.attribute_blender().blend({"hat-cap": 1}), DeviceLook)


@pytest.mark.usefixtures("no_gpu_needed")
def test_a_look_from_elsewhere_is_uploaded_and_drawn(folder: EngineFolder) -> None:
    avatar = dressable()
    camera = avatar.source.camera.resized(96, 96)
    stage = Stage(
        avatar,
        camera,
        threads=1,
        engine=NvidiaEngine("tensorrt", with_engines(folder).path, avatar, precision="fp32"),
    )
    plain = Stage(avatar, camera, threads=1)
    for weights in WEIGHTS[1:3]:
        look = with_attributes(avatar, avatar.attributes, weights)
        for one in (stage, plain, stage):  # the second time it is the same object
            one.set_avatar(look)
        found, expected = (
            one.draw(motion(0), background=(0.8, 0.8, 0.8)).astype(int) for one in (stage, plain)
        )
        assert (np.abs(found - expected) > 1).mean() < 2e-3
    with pytest.raises(ValueError, match="another avatar's rig"):
        stage.set_avatar(
            replace(avatar, rig=replace(avatar.rig, actions=avatar.rig.actions.copy()))
        )


@pytest.mark.usefixtures("no_gpu_needed")
def test_tensors_of_another_type_are_not_bound(folder: EngineFolder) -> None:
    """TensorRT takes addresses only, and would read whatever lies there."""
    half = next(one for one in folder.files if (one.graph, one.precision) == (ANIMATE, "fp16"))
    graph = TensorRtGraph(fake_tensorrt, fake_tensorrt.ICudaEngine(folder.read(half)), _GpuStream())
    assert (
        graph.dtypes["spread"] == torch.float16 and graph.dtypes["surface_triangles"] == torch.int32
    )
    with pytest.raises(
        ValueError, match=r"spread must be contiguous torch\.float16, got torch\.float32"
    ):
        graph.bind("spread", torch.zeros(478, 61))
    with pytest.raises(ValueError, match="surface_triangles"):
        graph.bind("surface_triangles", torch.zeros(900, dtype=torch.int64))
    with pytest.raises(ValueError, match="contiguous"):
        graph.bind("spread", torch.zeros(61, 478, dtype=torch.float16).T)


@pytest.mark.usefixtures("no_gpu_needed")
def test_whatever_opening_raises_is_a_cause_and_auto_goes_on(
    folder: EngineFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old driver makes constructors raise TypeError, a full GPU allocations RuntimeError, a compiler anything."""
    avatar = dressable()

    def fails(error: Exception) -> Any:
        def raising(*_: Any, **__: Any) -> Any:
            raise error

        return raising

    out_of_memory = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with_engines(folder)
    for place, name, error in (
        (
            fake_tensorrt,
            "Runtime",
            TypeError("pybind11::init(): factory function returned nullptr"),
        ),
        (fake_tensorrt.ICudaEngine, "create_execution_context", lambda *_: None),
        (cuda, "draw", out_of_memory),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, fails(error) if isinstance(error, Exception) else error)
            said = causes("tensorrt", folder.path, avatar, engine=NvidiaEngine)
            assert "cannot draw a frame" in said and (
                "too little memory" in said or str(error) in said
            )
            patch.setattr(cuda, "draw", fails(out_of_memory))
            choice = choose_engine("auto", folder.path, avatar)
            assert (
                choice.engine.name == "cpu"
                and "tensorrt:" in choice.why
                and "torch: cannot draw a frame" in choice.why
            )
    (folder.path / MANIFEST).write_text(manifest_text(folder))
    said = causes(
        "tensorrt", folder.path, avatar, engine=NvidiaEngine, rebuild=fails(AttributeError("SM90"))
    )
    assert "cannot be rebuilt (AttributeError: SM90)" in said


@pytest.mark.usefixtures("no_gpu_needed")
def test_an_engine_that_failed_holds_no_memory_when_the_next_one_is_opened(
    folder: EngineFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one that ran out of memory would take the others along."""
    streams: list[weakref.ref[DeviceStream]] = []

    class Noted(_GpuStream):
        def __init__(self, device: str = "cuda") -> None:
            assert all(one() is None for one in streams), "the engine before still has its tensors"
            super().__init__(device)
            streams.append(weakref.ref(self))

    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("perse_live.device.DeviceStream", Noted)
    monkeypatch.setattr(cuda, "draw", full)
    with_engines(folder)
    assert choose_engine("auto", folder.path, dressable()).engine.name == "cpu"
    assert len(streams) == 2


@pytest.mark.usefixtures("no_gpu_needed")
def test_auto_takes_what_is_ready_before_it_rebuilds_for_minutes(
    folder: EngineFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar = dressable()
    rebuilt: list[object] = []

    def rebuild(path: Path, backend: NvidiaBackend) -> None:
        rebuilt.append(backend)
        with_engines(folder, backend=backend)

    with_engines(folder, backend="tensorrt-rtx", device="sm75+89")
    choice = choose_engine("auto", folder.path, avatar, rebuild=rebuild)
    assert choice.engine.name == "tensorrt-rtx" and not rebuilt
    assert (
        "tensorrt: " in choice.why
        and "has no engine for NVIDIA-GeForce-RTX-4090-sm89" in choice.why
    )
    (folder.path / MANIFEST).write_text(manifest_text(folder))
    assert choose_engine("auto", folder.path, avatar).engine.name == "torch"
    choice = choose_engine("auto", folder.path, avatar, rebuild=rebuild)
    assert choice.engine.name == "tensorrt" and rebuilt == ["tensorrt"]


@pytest.mark.usefixtures("no_gpu_needed")
def test_auto_takes_torch_without_a_folder_and_an_explicit_wish_is_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar = dressable()
    choice = choose_engine("auto", tmp_path / "none.engines", avatar)
    assert choice.engine.name == "torch" and "no folder of engines" in choice.why
    assert choose_engine("torch", tmp_path / "none.engines", avatar).engine.name == "torch"
    monkeypatch.setattr("perse_live.splatting.backend.find_spec", lambda _: object())
    monkeypatch.setattr("perse_live.splatting.backend.driver_obstacle", lambda: "")
    monkeypatch.setattr(cuda, "cuda_obstacles", tuple)
    for wish in ("cpu", "onnx"):
        folder = folder_of(tmp_path / "toy.engines").path if wish == "onnx" else tmp_path
        assert isinstance(
            choose_engine(wish, folder, avatar).engine.drawer(8, 8, threads=1), CpuRasterizer
        )


@pytest.mark.usefixtures("no_gpu_needed")
def test_an_engine_of_another_gpu_or_version_is_rebuilt_or_refused(folder: EngineFolder) -> None:
    avatar = dressable()
    for device, version in (
        ("NVIDIA-A10-sm86", fake_tensorrt.__version__),
        ("NVIDIA-GeForce-RTX-4090-sm89", "10.9.0.34"),
    ):
        with_engines(folder, device=device, version=version)
        said = causes("tensorrt", folder.path, avatar, engine=NvidiaEngine)
        assert "has no engine for NVIDIA-GeForce-RTX-4090-sm89 by tensorrt 11.4.0.106" in said
        asked: list[object] = []

        def rebuild(path: Path, backend: object, asked: list[object] = asked) -> None:
            asked.append(backend)
            with_engines(replace(folder, path=path))

        assert NvidiaEngine(
            "tensorrt", folder.path, avatar, rebuild=rebuild
        ).name == "tensorrt" and asked == ["tensorrt"]


@pytest.mark.usefixtures("no_gpu_needed")
def test_a_plan_that_does_not_open_says_what_tensorrt_said(folder: EngineFolder) -> None:
    whole = with_engines(folder)
    nothing = hashlib.sha256(b"").hexdigest()
    record_built(nothing)
    empty = [
        replace(one, file="empty", sha256=nothing) if one.backend == "tensorrt" else one
        for one in whole.files
    ]
    (folder.path / "empty").write_bytes(b"")
    (folder.path / MANIFEST).write_text(manifest_text(replace(whole, files=tuple(empty))))
    assert "the plan is empty" in causes("tensorrt", folder.path, dressable(), engine=NvidiaEngine)


@pytest.mark.usefixtures("no_gpu_needed")
def test_too_many_gaussians_for_the_engine_are_refused(folder: EngineFolder) -> None:
    whole = with_engines(folder)
    small = [
        replace(one, limits={**one.limits, "surface": (1, 10, 10)}) if one.graph == ANIMATE else one
        for one in whole.files
    ]
    (folder.path / MANIFEST).write_text(manifest_text(replace(whole, files=tuple(small))))
    said = causes("tensorrt", folder.path, dressable(), engine=NvidiaEngine)
    assert "1 to 10 Gaussians of the kind 'surface'" in said and "export the engines again" in said


def test_what_serves_which_gpu() -> None:
    gpu = nvidia.Gpu("NVIDIA GeForce RTX 3080", 86)
    assert gpu.label == "NVIDIA-GeForce-RTX-3080-sm86"
    assert nvidia.serves("tensorrt-rtx", "sm75+86+120", gpu) and not nvidia.serves(
        "tensorrt-rtx", "sm75+89", gpu
    )
    assert nvidia.serves("tensorrt", gpu.label, gpu) and not nvidia.serves(
        "tensorrt", "NVIDIA-A10-sm86", gpu
    )


def test_find_reads_in_the_order_of_precision(exported: EngineFolder) -> None:
    assert [one.precision for one in exported.find(ATTRIBUTES, "onnx")] == ["fp32", "fp16"]
    assert exported.find(ANIMATE, "tensorrt") == []
