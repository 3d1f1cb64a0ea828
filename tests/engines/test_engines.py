from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

import fake_tensorrt
from engine_toys import dressable, folder_of, motion
from perse_live.avatar import save_avatar
from perse_live.engines import nvidia
from perse_live.engines.folder import MANIFEST, EngineFolder, GraphFile, manifest_text, read_folder
from perse_live.engines.graphs import ANIMATE, ATTRIBUTES
from perse_live.engines.nvidia import NvidiaBackend
from perse_live.engines.trust import record_built, was_built_here
from perse_live.errors import UserError
from perse_live.splatting import autograd, cuda
from runtime.engines.choose import choose_engine
from runtime.engines.contract import EngineUnavailableError
from runtime.engines.cpu import CpuEngine
from runtime.engines.nvidia import DeviceLook, NvidiaEngine
from runtime.engines.onnx_cpu import OnnxEngine
from runtime.stage import Stage

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow  # the graphs take half a minute to trace
WEIGHTS: tuple[dict[str, float], ...] = (
    {}, {"hat-cap": 0.4}, {"hat-cap": 0.7, "beard-full": 1.0}, {"hat-cap": 0.7, "beard-full": 0.2}, {})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> EngineFolder:
    return folder_of(tmp_path_factory.mktemp("engines") / "toy.engines")


@pytest.fixture
def folder(exported: EngineFolder, tmp_path: Path) -> EngineFolder:
    """A copy that a test may spoil."""
    shutil.copytree(exported.path, tmp_path / "toy.engines")
    return replace(exported, path=tmp_path / "toy.engines")


def pictures(stage: Stage) -> list[np.ndarray]:
    wardrobe = stage.wardrobe()
    out: list[np.ndarray] = []
    for seed, weights in enumerate(WEIGHTS):
        stage.wear(wardrobe.wear(weights))
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
    assert max(np.abs(one.astype(int) - other).mean() for one, other in zip(found, expected, strict=True)) < 0.25


def test_onnx_poses_thinned_avatars_too(exported: EngineFolder) -> None:
    from runtime.live.thinning import thinned

    fewer = thinned(dressable(), 0.8)
    camera = fewer.source.camera.resized(96, 96)
    engine = OnnxEngine(exported.path, fewer)
    check_alike(pictures(Stage(fewer, camera, threads=1, engine=engine)), pictures(Stage(fewer, camera, threads=1)))


def test_a_poser_refuses_another_rig(exported: EngineFolder) -> None:
    avatar = dressable()
    poser = OnnxEngine(exported.path, avatar).poser(avatar, threads=1)
    with pytest.raises(ValueError, match="another avatar's rig"):
        poser.wear(replace(avatar, rig=replace(avatar.rig, actions=avatar.rig.actions.copy())))


def test_the_live_path_by_onnx_needs_no_torch(exported: EngineFolder, tmp_path: Path) -> None:
    save_avatar(tmp_path / "toy.perse", dressable())
    program = ("import sys\nfrom pathlib import Path\nimport runtime.live.run\n"
               "from perse_live.avatar import load_avatar\nfrom runtime.engines.choose import choose_engine\n"
               f"avatar, folder = load_avatar(Path({str(tmp_path / 'toy.perse')!r})), Path({str(exported.path)!r})\n"
               "choose_engine('onnx', folder, avatar).engine.poser(avatar, threads=1)\nchoose_engine('auto', folder, avatar)\n"
               "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'offline', 'export', 'tensorrt')])")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]" or torch.cuda.is_available()


# --- what cannot be opened


def causes(*arguments: Any, engine: Any = OnnxEngine, **named: Any) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        engine(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_missing_or_half_written_says_what_to_do(folder: EngineFolder, tmp_path: Path) -> None:
    avatar = dressable()
    assert "no such folder" in causes(tmp_path / "none", avatar)
    (folder.path / "animate.fp32.onnx").write_bytes(b"half")
    assert "damaged or half-written" in causes(folder.path, avatar)
    (folder.path / "animate.fp32.onnx").unlink()
    assert "cannot be read" in causes(folder.path, avatar)
    for text in ("{", "[]", '{"format": "other"}', json.dumps({"format": "perse-live engines", "format_version": 1})):
        (folder.path / MANIFEST).write_text(text)
        assert "damaged" in causes(folder.path, avatar)
    (folder.path / MANIFEST).write_text(json.dumps({"format": "perse-live engines", "format_version": 9}))
    assert "of version 9" in causes(folder.path, avatar)
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
        assert choice.engine.name == "cpu" and "tensorrt:" in choice.why and "tensorrt-rtx:" in choice.why


# --- the NVIDIA runner on stand-ins: its own part, not CUDA's


class _Stream:
    cuda_stream = 77

    def synchronize(self) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class _Event:
    def record(self, stream: object) -> None: ...

    def synchronize(self) -> None: ...


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
    def __init__(self, graph: _CapturedGraph, stream: object) -> None:
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
def no_gpu_needed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch's CUDA calls and TensorRT on stand-ins: tensors lie in ordinary memory."""
    gpu = nvidia.Gpu("NVIDIA GeForce RTX 4090", 89)
    monkeypatch.setattr("runtime.engines.nvidia.find_gpu", lambda: gpu)
    monkeypatch.setattr("runtime.engines.nvidia.import_backend", lambda _: fake_tensorrt)
    monkeypatch.setattr(cuda, "cuda_obstacles", list)

    def draw(*arrays: Any) -> torch.Tensor:
        *tensors, camera, background = arrays
        return cast("Any", autograd.splat)(*tensors, camera, background=background, threads=1)

    monkeypatch.setattr(cuda, "draw", draw)
    for name in ("zeros", "empty"):
        real = getattr(torch, name)

        def here(*sizes: Any, real: Any = real, **named: Any) -> torch.Tensor:
            return real(*sizes, **{key: value for key, value in named.items() if key not in ("device", "pin_memory")})

        monkeypatch.setattr(torch, name, here)
    moved = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *to, **named: (
        self.clone() if to == ("cuda",) else moved(self, *to, **named)))
    for name, stand_in in (("Stream", _Stream), ("Event", _Event), ("CUDAGraph", _CapturedGraph), ("graph", _Capture),
                           ("stream", lambda stream: stream)):
        monkeypatch.setattr(torch.cuda, name, stand_in)
    _CapturedGraph.made.clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))  # of what was built here
    yield


def with_engines(folder: EngineFolder, *, device: str = "NVIDIA-GeForce-RTX-4090-sm89", version: str = "11.4.0.106",
                 backend: NvidiaBackend = "tensorrt") -> EngineFolder:
    """The folder, with its ONNX graphs as the stand-in's engines."""
    made: list[GraphFile] = [
        replace(one, backend=backend, device=device, version=version) for one in folder.files]
    whole = replace(folder, files=(*folder.files, *made))
    (folder.path / MANIFEST).write_text(manifest_text(whole))
    for one in made:
        record_built(one.sha256)
    return whole


@pytest.mark.usefixtures("no_gpu_needed")
def test_engines_that_were_built_elsewhere_are_rebuilt_or_refused(folder: EngineFolder, tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
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

    assert NvidiaEngine("tensorrt", folder.path, avatar, rebuild=rebuild).name == "tensorrt" and asked == ["tensorrt"]
    assert NvidiaEngine("tensorrt", folder.path, avatar, rebuild=rebuild).name == "tensorrt" and asked == ["tensorrt"]


def test_a_hash_is_all_that_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    record_built("a" * 64)
    assert was_built_here("a" * 64) and not was_built_here("b" * 64)
    for name in ("", ".", "../built-engines/" + "a" * 64, "a" * 63, "A" * 64, "a" * 64 + "\n", "\0"):
        assert not was_built_here(name)


@pytest.mark.usefixtures("no_gpu_needed")
def test_the_runner_draws_what_the_cpu_draws_and_captures_once_for_each_shape(folder: EngineFolder) -> None:
    avatar = dressable()
    camera = avatar.source.camera.resized(192, 192)
    engine = NvidiaEngine("tensorrt", with_engines(folder).path, avatar, precision="fp32")
    stage = Stage(avatar, camera, threads=1, engine=engine)
    check_alike(pictures(stage), pictures(Stage(avatar, camera, threads=1)))
    # animate at the avatar's own Gaussians is never drawn (the wardrobe's look has them all); then one capture for each graph
    assert [graph.replays for graph in _CapturedGraph.made] == [5, 5]


@pytest.mark.usefixtures("no_gpu_needed")
def test_tensorrt_for_rtx_captures_by_itself(folder: EngineFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    module = SimpleNamespace(**vars(fake_tensorrt), CudaGraphStrategy=rtx.CudaGraphStrategy,
                             DynamicShapesKernelSpecializationStrategy=rtx.DynamicShapesKernelSpecializationStrategy)
    monkeypatch.setattr("runtime.engines.nvidia.import_backend", lambda _: module)
    with_engines(folder, backend="tensorrt-rtx", device="sm75+89")
    fake_tensorrt.made.clear()
    avatar = dressable()
    camera = avatar.source.camera.resized(96, 96)
    stage = Stage(avatar, camera, threads=1, engine=NvidiaEngine("tensorrt-rtx", folder.path, avatar, precision="fp32"))
    check_alike(pictures(stage), pictures(Stage(avatar, camera, threads=1)))
    assert not _CapturedGraph.made and len(fake_tensorrt.made) == 2
    for config in fake_tensorrt.made:
        assert vars(config) == {"cuda_graph_strategy": rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE,
                                "dynamic_shapes_kernel_specialization_strategy":
                                    rtx.DynamicShapesKernelSpecializationStrategy.EAGER}
        assert all(isinstance(getattr(rtx.IRuntimeConfig, name), property) for name in vars(config))


@pytest.mark.usefixtures("no_gpu_needed")
def test_looks_from_the_graph_stay_on_the_device(folder: EngineFolder) -> None:
    avatar = dressable()
    poser = NvidiaEngine("tensorrt", with_engines(folder).path, avatar).poser(avatar, threads=1)
    wardrobe = poser.wardrobe()
    first, second = wardrobe.wear({"hat-cap": 1}), wardrobe.wear({"hat-cap": 0.2})
    assert first is second and isinstance(first, DeviceLook)


@pytest.mark.usefixtures("no_gpu_needed")
def test_an_engine_of_another_gpu_or_version_is_rebuilt_or_refused(folder: EngineFolder) -> None:
    avatar = dressable()
    for device, version in (("NVIDIA-A10-sm86", fake_tensorrt.__version__), ("NVIDIA-GeForce-RTX-4090-sm89", "10.9.0.34")):
        with_engines(folder, device=device, version=version)
        said = causes("tensorrt", folder.path, avatar, engine=NvidiaEngine)
        assert "has no engine for NVIDIA-GeForce-RTX-4090-sm89 by tensorrt 11.4.0.106" in said
        asked: list[object] = []

        def rebuild(path: Path, backend: object, asked: list[object] = asked) -> None:
            asked.append(backend)
            with_engines(replace(folder, path=path))

        assert NvidiaEngine("tensorrt", folder.path, avatar, rebuild=rebuild).name == "tensorrt" and asked == ["tensorrt"]


@pytest.mark.usefixtures("no_gpu_needed")
def test_a_plan_that_does_not_open_says_what_tensorrt_said(folder: EngineFolder) -> None:
    whole = with_engines(folder)
    nothing = hashlib.sha256(b"").hexdigest()
    record_built(nothing)
    empty = [replace(one, file="empty", sha256=nothing) if one.backend == "tensorrt" else one for one in whole.files]
    (folder.path / "empty").write_bytes(b"")
    (folder.path / MANIFEST).write_text(manifest_text(replace(whole, files=tuple(empty))))
    assert "the plan is empty" in causes("tensorrt", folder.path, dressable(), engine=NvidiaEngine)


@pytest.mark.usefixtures("no_gpu_needed")
def test_too_many_gaussians_for_the_engine_are_refused(folder: EngineFolder) -> None:
    whole = with_engines(folder)
    small = [replace(one, limits={**one.limits, "surface": (1, 10, 10)}) if one.graph == ANIMATE else one for one in whole.files]
    (folder.path / MANIFEST).write_text(manifest_text(replace(whole, files=tuple(small))))
    said = causes("tensorrt", folder.path, dressable(), engine=NvidiaEngine)
    assert "1 to 10 Gaussians of the kind 'surface'" in said and "export the engines again" in said


def test_what_serves_which_gpu() -> None:
    gpu = nvidia.Gpu("NVIDIA GeForce RTX 3080", 86)
    assert gpu.label == "NVIDIA-GeForce-RTX-3080-sm86"
    assert nvidia.serves("tensorrt-rtx", "sm75+86+120", gpu) and not nvidia.serves("tensorrt-rtx", "sm75+89", gpu)
    assert nvidia.serves("tensorrt", gpu.label, gpu) and not nvidia.serves("tensorrt", "NVIDIA-A10-sm86", gpu)


def test_find_reads_in_the_order_of_precision(exported: EngineFolder) -> None:
    assert [one.precision for one in exported.find(ATTRIBUTES, "onnx")] == ["fp32", "fp16"]
    assert exported.find(ANIMATE, "tensorrt") == []
