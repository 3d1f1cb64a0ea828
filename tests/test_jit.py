"""Kernels where their machine code cannot be stored, in separate programs: what is cached is decided at import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
try:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
except ImportError:
    pass
import kernels
print(kernels.twice(21), kernels.four_times(10))
"""
KERNELS = """
from perse_live.jit import inline_kernel, kernel


@inline_kernel
def twice(x):
    return 2 * x


@kernel
def four_times(x):
    return twice(twice(x))
"""


def _run(
    folder: Path, *, limit: int | str = "resource.RLIM_INFINITY", **environment: str
) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    (folder / "kernels.py").write_text(KERNELS, encoding="utf-8")
    program = PROGRAM.format(folder=str(folder), limit=limit)
    return subprocess.run(
        [sys.executable, "-B", "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=True,
        timeout=120,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_kernels_run_on_a_full_disk_with_one_warning(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done = _run(tmp_path / "code", limit=100, NUMBA_CACHE_DIR=str(cache))
    assert done.stdout.split() == ["42", "40"]
    assert done.stderr.count("compiled kernels cannot be stored") == 1
    assert "File too large" in done.stderr
    assert not [path for path in cache.rglob("*") if path.is_file()]  # nothing half-written stays


@pytest.mark.skipif(sys.platform == "win32", reason="the user's cache folder has another variable")
def test_kernels_run_without_any_folder_for_them(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "__pycache__").write_text("not a folder", encoding="utf-8")
    nowhere = tmp_path / "file"
    nowhere.write_text("not a folder", encoding="utf-8")
    done = _run(code, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(nowhere), HOME=str(nowhere))
    assert done.stdout.split() == ["42", "40"]
    assert done.stderr.count("no folder for them can be written") == 1


def test_kernels_are_stored_and_read_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        done = _run(tmp_path / "code", NUMBA_CACHE_DIR=str(cache))
        assert done.stdout.split() == ["42", "40"]
        assert "cannot be stored" not in done.stderr
        stored = sorted(path.name for path in cache.rglob("*.nbc"))
        assert len(stored) == 2
