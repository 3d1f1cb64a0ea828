"""`doctor --gpu`: where a GPU is it runs the real thing, and so do these tests; elsewhere its comparisons run on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine_toys import dressable, folder_of
from perse_live import cli
from perse_live.splatting import CpuRasterizer, cuda
from perse_live.splatting.cuda import CudaRasterizer
from runtime.bench.drawing import SIZE
from runtime.doctor import devices, gpu
from runtime.engines.choose import choose_engine
from runtime.engines.torch_gpu import TorchEngine
from stand_in_gsplat import draw_by_numba


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--gpu"]) == 1
    out, _ = capsys.readouterr()
    assert out.count("\n") == 1 and out.startswith("no GPU to examine: ")
    assert cli.main(["doctor", "--gpu", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["gpu"] is False and said["obstacle"]


@pytest.mark.slow
def test_its_comparisons_pass_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "draw", draw_by_numba)
    engine = TorchEngine(dressable(), device="cpu")
    found = gpu.compare_engine(engine, dressable(), runs=2, concurrent_frames=3)
    assert found.status == "ok" and "0.000%" in found.found and " ms (p95 " in found.found
    assert (
        gpu.compare_rasterizers(
            CudaRasterizer(SIZE, SIZE, device="cpu"), dressable(), runs=2
        ).status
        == "ok"
    )


def test_its_comparisons_find_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def darker(screen: cuda.Screen, *arrays: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rgb, alpha = draw_by_numba(screen, *arrays)
        return 0.97 * rgb, alpha

    def changing(screen: cuda.Screen, *arrays: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(1)
        rgb, alpha = draw_by_numba(screen, *arrays)
        return rgb + (len(calls) > 12) * 0.1, alpha

    engine = None
    for draw, words in ((darker, "differ"), (changing, "a frame came out differently")):
        monkeypatch.setattr(cuda, "draw", draw)
        engine = engine or TorchEngine(dressable(), device="cpu")
        found = gpu.compare_engine(engine, dressable(), runs=1, concurrent_frames=10)
        assert found.status == "problem" and words in found.found
    monkeypatch.setattr(cuda, "draw", darker)
    assert (
        gpu.compare_rasterizers(
            CudaRasterizer(SIZE, SIZE, device="cpu"), dressable(), runs=1
        ).status
        == "problem"
    )
    assert (
        gpu.compare_rasterizers(CpuRasterizer(SIZE, SIZE, threads=1), dressable(), runs=1).status
        == "ok"
    )


def test_the_ordinary_examination_draws_in_a_separate_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That torch sees a GPU and gsplat is installed does not mean that it draws."""
    answers: dict[str, Any] = {"torch": {"version": "2.13", "there": True, "built": "13.0"}}
    monkeypatch.setattr(devices, "find_spec", lambda _: object())
    monkeypatch.setattr(devices, "_nvidia_gpu", lambda: "RTX 4090")
    monkeypatch.setattr(devices, "_imported", lambda module, _: answers[module])
    for drawing, status, words in (
        ({"causes": "no nvcc was found", "compiled": False}, "warning", "no nvcc was found"),
        ({"error": "it ends the process (code -11)"}, "warning", "ends the process"),
        ({"causes": "", "compiled": False}, "warning", "first session will take minutes"),
        ({"causes": "", "compiled": True}, "ok", "gsplat draws"),
    ):
        answers["perse_live.splatting.cuda"] = drawing
        found = devices.cuda()
        assert found.status == status and words in found.found


@pytest.mark.gpu
def test_everything_holds_on_this_gpu(tmp_path: Path) -> None:
    findings = gpu.examine_gpu(None, tmp_path / "none.engines")
    print("\n".join(f"{one.status} {one.name}: {one.found}" for one in findings))
    assert {one.name for one in findings} >= {"GPU", "gsplat", "gsplat's picture", "engine torch"}
    assert not [one for one in findings if one.status == "problem"]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch", "tensorrt", "tensorrt-rtx"])
def test_each_engine_draws_learned_attributes_on_this_gpu(name: Any, tmp_path: Path) -> None:
    """TensorRT's are rebuilt from the ONNX graphs first, where they are installed and build for this GPU."""
    from export.engines.folder import rebuild_engines
    from perse_live.errors import UserError

    folder = folder_of(tmp_path / "toy.engines").path
    avatar = dressable()
    try:
        engine = choose_engine(
            name,
            folder,
            avatar,
            size=(SIZE, SIZE),
            rebuild=lambda path, backend: rebuild_engines(path, backend, progress=lambda *_: None),
        ).engine
    except UserError as error:
        if name == "torch":
            raise
        pytest.skip(str(error))
    found = gpu.compare_engine(engine, avatar)
    print(found.found)
    assert found.status == "ok"
