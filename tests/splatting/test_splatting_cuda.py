"""Drawing by gsplat, as far as a machine without a GPU can show it: what is missing is named, and what is uploaded is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from splat_scenes import make_camera, make_gaussians
from torch.utils import cpp_extension

from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from perse_live.splatting import CpuRasterizer, backend, cuda, open_rasterizer, toolchain
from perse_live.splatting.cuda import CudaRasterizer, cuda_obstacles
from stand_in_gsplat import StandInForGsplat

GREEN = (0.1, 0.6, 0.3)
linux = pytest.mark.skipif(sys.platform == "win32", reason="programs here are shell scripts")


@pytest.fixture(autouse=True)
def asked_again() -> Generator[None, None, None]:
    cuda_obstacles.cache_clear()
    yield
    cuda_obstacles.cache_clear()


class GpuMachine:
    """A machine with torch's CUDA build and a GPU, a gsplat of our own making, and the programs that a test puts there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self._patch = folder / "cuda", monkeypatch
        self._bin = folder / "bin"
        self.gsplat = folder / "modules" / "gsplat" / "__init__.py"
        for path in (self._bin, self.gsplat.parent):
            path.mkdir(parents=True)
        monkeypatch.syspath_prepend(str(self.gsplat.parents[1]))
        monkeypatch.delitem(sys.modules, "gsplat", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(
            cpp_extension, "_find_cuda_home", lambda: str(self.home) if self.home.exists() else None
        )
        monkeypatch.setattr(backend, "driver_obstacle", lambda: "")
        monkeypatch.setenv("PATH", str(self._bin))
        monkeypatch.setattr("sysconfig.get_path", lambda name: str(self._bin))
        monkeypatch.delenv("CXX", raising=False)
        real = cuda._difference  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(cuda, "_difference", lambda device: real("cpu"))
        self.gsplat.write_text(
            "from stand_in_gsplat import StandInForGsplat\nrasterization = StandInForGsplat.rasterization\n"
        )

    def put(self, program: Path, text: str = "") -> None:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{text}'\n", encoding="utf-8")
        program.chmod(0o755)

    def put_toolkit(self, release: str = "13.0", *, headers: bool = True) -> None:
        self.put(
            self.home / "bin" / "nvcc", f"Cuda compilation tools, release {release}, V{release}.88"
        )
        (self.home / "include").mkdir(exist_ok=True)
        if headers:
            (self.home / "include" / "cuda_runtime.h").write_text("")

    def put_compiler(self) -> None:
        for name in ("c++", "ninja"):
            self.put(self._bin / name)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[GpuMachine, None, None]:
    yield GpuMachine(tmp_path, monkeypatch)
    sys.modules.pop("gsplat", None)  # the made-up one


@linux
def test_what_compiling_gsplat_needs_is_named_before_it_is_tried(machine: GpuMachine) -> None:
    machine.gsplat.write_text(
        "def rasterization(*_, **__):\n    raise AttributeError(\"'NoneType' has no 'CameraModelType'\")\n"
    )
    said = "; ".join(cuda_obstacles())
    for words in (
        "CUDA toolkit 13.x",
        "torch's CUDA 13.0",
        "no nvcc",
        "no 'c++'",
        "pip install ninja",
    ):
        assert words in said
    assert "NoneType" not in said
    with pytest.raises(UserError, match=r"cannot draw on CUDA: .*CUDA toolkit 13\.x") as caught:
        open_rasterizer(8, 8, device="cuda", threads=1)
    assert "\n" not in str(caught.value)


@linux
@pytest.mark.parametrize(
    ("release", "headers", "words"),
    [("12.4", True, "is of 12.4"), ("13.1", False, "no headers"), ("13.1", True, "")],
)
def test_the_toolkit_must_be_of_torchs_major_version_and_whole(
    machine: GpuMachine, release: str, headers: bool, words: str
) -> None:
    machine.put_toolkit(release, headers=headers)
    machine.put_compiler()
    causes = cuda_obstacles()
    assert (words in "; ".join(causes)) if words else (causes == ())


def test_gsplat_with_kernels_needs_no_compiler(machine: GpuMachine) -> None:
    assert not toolchain.has_prebuilt_kernels() and not toolchain.is_compiled()
    (machine.gsplat.parent / f"csrc{toolchain.EXTENSION_SUFFIXES[0]}").write_bytes(b"")
    assert toolchain.has_prebuilt_kernels() and toolchain.is_compiled()
    assert cuda_obstacles() == ()


def test_what_was_compiled_earlier_is_found(
    machine: GpuMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    assert not toolchain.is_compiled()
    there = Path(cpp_extension._get_build_directory("gsplat_cuda", verbose=False))  # pyright: ignore[reportPrivateUsage]
    (there / "gsplat_cuda.so").write_bytes(b"")
    assert toolchain.is_compiled()


@linux
def test_a_compilation_that_fails_is_tried_once_and_said_briefly(machine: GpuMachine) -> None:
    machine.put_toolkit()
    machine.put_compiler()
    machine.gsplat.write_text(
        "tries = []\ndef rasterization(*_, **__):\n    tries.append(1)\n"
        "    raise RuntimeError('Error building extension\\n' + 1000 * '[1/32] nvcc -O3 x.cu\\n'"
        " + 'x.cu(3): error: no room\\n' + 1000 * 'more\\n')\n"
    )
    for _ in range(3):
        assert isinstance(open_rasterizer(8, 8, device="auto", threads=1), CpuRasterizer)
    assert vars(sys.modules["gsplat"])["tries"] == [1]
    (said,) = cuda_obstacles()
    assert said == "gsplat does not draw (RuntimeError: x.cu(3): error: no room)"


@linux
def test_a_picture_that_is_wrong_is_an_obstacle(machine: GpuMachine) -> None:
    machine.put_toolkit()
    machine.put_compiler()
    machine.gsplat.write_text(
        "from stand_in_gsplat import StandInForGsplat\ndef rasterization(*all, **named):\n"
        "    rgb, alpha, meta = StandInForGsplat.rasterization(*all, **named)\n"
        "    return 0.9 * rgb, alpha, meta\n"
    )
    assert "draws another picture than the CPU" in "; ".join(cuda_obstacles())


@linux
def test_what_gsplat_prints_does_not_reach_stdout(
    machine: GpuMachine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.put_toolkit()
    machine.put_compiler()
    with machine.gsplat.open("a") as file:
        file.write("import os\nprint('by Python')\nos.write(1, b'below Python')\n")
    assert cuda_obstacles() == ()
    print('{"only": "this"}')
    out, err = capfd.readouterr()
    assert out == '{"only": "this"}\n' and "by Python" in err and "below Python" in err


def test_torch_is_not_imported_where_there_is_no_driver(tmp_path: Path) -> None:
    for name in ("torch", "gsplat"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    code = (
        "import perse_live.splatting.backend as b\nb.driver_obstacle = lambda: 'there is no NVIDIA driver'\n"
        "b.open_rasterizer(8, 8, device='auto', threads=1)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr


# --- the rasteriser on torch's CPU device, with a stand-in for gsplat


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", StandInForGsplat("gsplat"))


def scenes() -> list[Gaussians]:
    return [make_gaussians(["ordinary", "thin"] * 10, seed) for seed in (0, 1)] + [
        make_gaussians(["ordinary"] * 5, 2),
        make_gaussians([], 0),
    ]


@pytest.mark.usefixtures("stand_in")
def test_the_rasteriser_draws_what_the_cpu_draws() -> None:
    camera = make_camera(40, 30)
    ours, theirs = CudaRasterizer(40, 30, device="cpu"), CpuRasterizer(40, 30, threads=1)
    for scene in scenes():
        assert (
            abs(
                ours.render(scene, camera, background=GREEN).astype(int)
                - theirs.render(scene, camera, background=GREEN)
            ).max()
            <= 1
        )
        assert (
            abs(
                ours.render_rgba(scene, camera).astype(int) - theirs.render_rgba(scene, camera)
            ).max()
            <= 1
        )
        difference = ours.render_float(scene, camera, background=GREEN) - theirs.render_float(
            scene, camera, background=GREEN
        )
        assert abs(difference).max() < 1 / 255
        assert list(ours.stage_times()) == ["upload", "draw", "download"]


@pytest.mark.usefixtures("stand_in")
def test_numbers_that_are_not_finite_are_refused_and_the_next_scene_is_drawn() -> None:
    camera, ours = make_camera(40, 30), CudaRasterizer(40, 30, device="cpu")
    good = scenes()[0]
    picture = ours.render(good, camera, background=GREEN).copy()
    means = good.means.copy()
    means[3, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        ours.render(
            Gaussians(means, good.quats, good.scales, good.opacities, good.colors),
            camera,
            background=GREEN,
        )
    assert (ours.render(good, camera, background=GREEN) == picture).all()


@pytest.mark.usefixtures("stand_in")
def test_a_frame_is_one_copy_up_and_one_down(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, ours = make_camera(40, 30), CudaRasterizer(40, 30, device="cpu")
    first, second, *_ = scenes()
    ours.render(first, camera, background=GREEN)
    copies: list[torch.Size] = []
    real = torch.Tensor.copy_

    def counted(self: torch.Tensor, *other: Any, **named: Any) -> torch.Tensor:
        copies.append(self.shape)
        return real(self, *other, **named)

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError(
            "a tensor is made from Python's numbers in a frame: that is an upload that is waited for"
        )

    monkeypatch.setattr(torch.Tensor, "copy_", counted)
    for maker in ("tensor", "eye", "from_numpy"):
        monkeypatch.setattr(torch, maker, refused)
    monkeypatch.setattr(torch.Tensor, "new_tensor", refused)
    monkeypatch.setitem(
        sys.modules,
        "gsplat",
        type(
            "Plain",
            (),
            {
                "rasterization": staticmethod(
                    lambda *_, **__: (torch.zeros(1, 30, 40, 3), torch.zeros(1, 30, 40, 1), {})
                )
            },
        ),
    )
    ours.render(second, camera, background=GREEN)
    # The Gaussians; whether all are finite; the picture
    assert [len(shape) for shape in copies] == [1, 1, 3]
