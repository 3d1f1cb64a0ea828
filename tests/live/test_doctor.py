from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

import pytest

import runtime
from perse_live import assets
from perse_live.errors import UserError
from runtime.doctor import devices, machine, software
from runtime.doctor.examination import examine
from runtime.doctor.finding import Finding, never_raising

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's folders")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has fetched nothing yet."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(cache))
    monkeypatch.delenv(assets.FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv(assets.OFFLINE_VARIABLE, raising=False)
    return cache


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
def test_this_machine_is_examined_without_an_exception() -> None:
    steps: list[float] = []
    findings = examine(port=free_port(), progress=lambda _, fraction: steps.append(fraction))
    names = [finding.name for finding in findings]
    assert len(set(names)) == len(names)
    for finding in findings:
        assert finding.status in ("ok", "warning", "problem")
        assert finding.found
        assert "\n" not in finding.found + finding.advice
        assert "this should not happen" not in finding.advice, finding
    by_name = {finding.name: finding for finding in findings}
    for name in (
        "system",
        "processor",
        "cores",
        "memory",
        "compiled kernels",
        "codec libvpx",
        "codec libx264",
        "page",
    ):
        assert by_name[name].status == "ok", by_name[name]
    assert steps[0] == 0
    assert steps[-1] == 1
    assert steps == sorted(steps)
    json.dumps([asdict(finding) for finding in findings], allow_nan=False)


def test_a_check_never_raises() -> None:
    @never_raising("a thing")
    def broken(error: Exception) -> Finding:
        raise error

    assert broken(UserError("it is gone: plug it in")) == Finding(
        "a thing", "problem", "it is gone: plug it in"
    )
    found = broken(ZeroDivisionError("two\nlines"))
    assert (found.status, found.found) == ("problem", "ZeroDivisionError: two lines")
    assert "report" in found.advice


@linux
def test_a_containers_limits_count(tmp_path: Path) -> None:
    control = tmp_path / "sys/fs/cgroup"
    control.mkdir(parents=True)
    (control / "cpu.max").write_text("max 100000\n")
    assert machine.usable_cores(root=tmp_path) == len(os.sched_getaffinity(0))
    (control / "cpu.max").write_text("50000 100000\n")
    assert machine.usable_cores(root=tmp_path) == 0.5
    found = machine.cores(root=tmp_path)
    assert found.status == "warning"
    assert "0.5 of them usable" in found.found
    assert "--size" in found.advice
    (control / "cpu.max").unlink()
    (control / "cpu").mkdir()
    (control / "cpu/cpu.cfs_quota_us").write_text("75000\n")
    (control / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert machine.usable_cores(root=tmp_path) == 0.75


@linux
def test_memory(tmp_path: Path) -> None:
    assert machine.memory(root=tmp_path).status == "ok"  # nobody knows
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n")
    assert machine.memory(root=tmp_path) == Finding("memory", "ok", "4.0 GiB free")
    control = tmp_path / "sys/fs/cgroup"
    control.mkdir(parents=True)
    (control / "memory.max").write_text(f"{1 << 30}\n")
    (control / "memory.current").write_text(f"{1 << 29}\n")
    found = machine.memory(root=tmp_path)
    assert (found.status, found.found) == ("warning", "0.5 GiB free")


def test_compiled_kernels_say_where_their_code_is_kept() -> None:
    found = software.kernels()
    assert found.status == "ok"
    assert "__pycache__" in found.found or "numba" in found.found.lower()


@linux
def test_without_a_folder_for_compiled_code_it_says_what_to_set(tmp_path: Path) -> None:
    """A copy of the doctor whose folders for machine code are all taken by files."""
    taken = tmp_path / "taken"
    taken.write_text("")
    source = Path(runtime.__file__).parent
    for folder in ("doctor", "."):
        (tmp_path / "runtime" / folder).mkdir(parents=True, exist_ok=True)
        for file in (source / folder).glob("*.py"):
            shutil.copy(file, tmp_path / "runtime" / folder)
    (tmp_path / "runtime/doctor/__pycache__").write_text("")
    code = "from runtime.doctor.software import kernels; print(kernels())"
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(tmp_path),
        **dict.fromkeys(("XDG_CACHE_HOME", "HOME", "NUMBA_CACHE_DIR"), str(taken / "x")),
    }
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "no folder for compiled code can be written to" in result.stdout, result.stderr
    assert "set NUMBA_CACHE_DIR" in result.stdout


@linux
def test_a_cache_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert software.cache() == Finding("cache folder", "ok", str(tmp_path / "perse-live"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = software.cache()
    assert found.status == "problem"
    assert "XDG_CACHE_HOME" in found.advice
    assert software.model_file("face_landmarker", needed=True).status == "problem"


@linux
def test_model_files(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = software.model_file("face_landmarker", needed=True)
    assert found.status == "ok"
    assert "not here yet (3.8 MB" in found.found
    assert "not here" in software.model_file("selfie_multiclass", needed=False).found
    monkeypatch.setenv(assets.OFFLINE_VARIABLE, "1")
    assert software.model_file("face_landmarker", needed=True).status == "problem"
    assert software.model_file("sample_portrait", needed=False).status == "warning"
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "face_landmarker.task").write_bytes(b"something else")
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(folder))
    found = software.model_file("face_landmarker", needed=True)
    assert found.status == "problem"
    assert "is not the expected" in found.found
    assert not any(path.is_file() for path in empty_cache.rglob("*"))


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert software.settings().status == "ok"
    file = tmp_path / "config.toml"
    file.write_text("target_fps = 24")
    assert software.settings(file) == Finding("settings", "ok", str(file))
    file.write_text("target_fps = 1000")
    found = software.settings(file)
    assert found.status == "problem"
    assert "target_fps is 1000" in found.found


@pytest.mark.parametrize("library", ["libvpx", "libx264"])
def test_codecs_really_encode(library: str) -> None:
    found = software.codec(library)
    assert found.status in ("ok", "warning"), found  # a warning where the machine is busy
    assert "ms a picture" in found.found


@linux
def test_cameras_that_are_not_there_and_one_that_may_not_be_used(tmp_path: Path) -> None:
    found = devices.cameras(system=tmp_path / "none", devices=tmp_path)
    assert (found.status, found.found) == ("warning", "none")
    assert "--camera browser" in found.advice
    entry = tmp_path / "video4linux/video0"
    entry.mkdir(parents=True)
    (entry / "name").write_text("A camera\n")
    # The system lists it, its device is gone
    found = devices.cameras(system=entry.parent, devices=tmp_path / "dev")
    assert found.status == "warning"
    assert "0: A camera (" in found.found
    assert "plug it in" in found.advice


def loopback(root: Path) -> tuple[Path, Path, Path]:
    """What Linux shows of a v4l2loopback device and of a camera; returns the folders that are looked into."""
    system, dev, modules = root / "class/video4linux", root / "dev", root / "module"
    for folder, number in (
        ("devices/pci0000:00/usb1/video4linux", 0),
        ("devices/virtual/video4linux", 10),
    ):
        device = root / folder / f"video{number}"
        device.mkdir(parents=True)
        system.mkdir(parents=True, exist_ok=True)
        (system / device.name).symlink_to(device)
    dev.mkdir()
    (dev / "video10").touch()
    (modules / "v4l2loopback").mkdir(parents=True)
    return system, dev, modules


@linux
def test_the_virtual_cameras_driver(tmp_path: Path) -> None:
    pytest.importorskip("pyvirtualcam", reason="pyvirtualcam is not installed")
    system, dev, modules = loopback(tmp_path)
    found = devices.virtual_camera(system=system, devices=dev, modules=modules)
    assert found == Finding("virtual camera", "ok", str(dev / "video10"))
    (dev / "video10").unlink()
    found = devices.virtual_camera(system=system, devices=dev, modules=modules)
    assert "may not be written to" in found.found
    assert "usermod" in found.advice
    (system / "video10").unlink()
    found = devices.virtual_camera(system=system, devices=dev, modules=modules)
    assert "loaded but has no device" in found.found
    found = devices.virtual_camera(system=system, devices=dev, modules=tmp_path / "nothing")
    assert found.status == "warning"
    assert "modprobe v4l2loopback" in found.advice


def test_a_port_that_is_free_taken_or_impossible() -> None:
    port = free_port()
    assert devices.page(port) == Finding(
        "page", "ok", f"http://127.0.0.1:{port}/ can be served and fetched"
    )
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        found = devices.page(taken)
        assert found.status == "warning"
        assert f"--port {taken + 1 if taken < 65535 else 8080}" in found.advice
    assert devices.page(70_000).status == "problem"


@linux
def test_the_page_is_fetched_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert devices.page(free_port()).status == "ok"


@linux
def test_browsers(tmp_path: Path) -> None:
    program = tmp_path / "my-browser"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    code = "from runtime.doctor.devices import browser; print(browser())"

    def look(environment: dict[str, str]) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={"HOME": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=Path(runtime.__file__).parents[1],
        ).stdout

    assert "'ok', found='my-browser'" in look(
        {"BROWSER": "my-browser", "PATH": str(tmp_path)}
    ).replace("status=", "")
    assert "none that could be opened here" in look({"PATH": str(tmp_path / "nothing")})


@linux
def test_global_hotkeys_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    found = devices.global_hotkeys()
    assert found.status == "warning"
    assert "page" in found.advice


def put_module(folder: Path, name: str, content: str) -> None:
    (folder / f"{name}.py").write_text(textwrap.dedent(content))


def put_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA RTX 4090, 570.10, 24564 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules come before the installed ones, here and in processes started from here."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    for name in ("torch", "gsplat", "tensorrt", "tensorrt_rtx"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


@linux
def test_a_gpu_and_what_is_missing_to_use_it(
    tmp_path: Path, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_nvidia_smi(tmp_path, monkeypatch)
    put_module(modules, "gsplat", "")
    torch = """
        import types
        __version__ = "2.9.0"
        version = types.SimpleNamespace(cuda={built})
        cuda = types.SimpleNamespace(is_available=lambda: {there})
        """
    for built, there, words in (
        (None, False, "built without CUDA"),
        ("'12.8'", False, "does not see it"),
        ("'12.8'", True, "RTX 4090, 570.10, 24564 MiB, torch 2.9.0, but the CPU draws"),
    ):
        put_module(modules, "torch", torch.format(built=built, there=there))
        found = devices.cuda()
        assert words in found.found
        assert found.status == "warning"
    put_module(modules, "torch", "raise OSError('libcudart.so.12: cannot open shared object file')")
    found = devices.cuda()
    assert found.status == "warning"
    assert "libcudart" in found.found


@linux
def test_tensorrt_that_works_fails_and_takes_the_process_with_it(modules: Path) -> None:
    put_module(modules, "tensorrt", "__version__ = '10.9'")
    put_module(modules, "tensorrt_rtx", "__version__ = '1.2'")
    assert devices.tensorrt() == Finding("TensorRT", "ok", "tensorrt 10.9, tensorrt_rtx 1.2")
    put_module(modules, "tensorrt_rtx", "import os; os.abort()")
    found = devices.tensorrt()
    assert found.status == "warning"
    assert "ends the process" in found.found
