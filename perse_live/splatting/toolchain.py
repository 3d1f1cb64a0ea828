"""Checks whether gsplat's CUDA kernels are or can be compiled: its package on PyPI is source, compiled at first use.

It is compiled by torch.utils.cpp_extension with nvcc, a C++ compiler and ninja; all three are looked for at every start, also
when the result of an earlier one is there. Without nvcc gsplat can be imported, and fails at its first call with "'NoneType'
object has no attribute 'CameraModelType'".
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Generator
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

_NAME = "gsplat_cuda"  # as gsplat calls its extension (gsplat/cuda/_backend.py)


def has_prebuilt_kernels() -> bool:
    """Whether gsplat was installed with its kernels (from a wheel of gsplat's index, or by `setup.py`)."""
    spec = find_spec("gsplat")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    return any(
        (Path(folder) / f"csrc{suffix}").is_file()
        for folder in folders
        for suffix in EXTENSION_SUFFIXES
    )


def is_compiled() -> bool:
    """Whether an earlier start compiled gsplat's kernels for this Python and torch; else the next one takes minutes."""
    from torch.utils import cpp_extension

    if has_prebuilt_kernels():
        return True
    root = os.environ.get("TORCH_EXTENSIONS_DIR")
    folders = (
        [Path(root) / _NAME]
        if root
        else list(Path(cpp_extension.get_default_build_root()).glob(f"{_build_of()}/{_NAME}"))
    )
    return any(
        (folder / f"{_NAME}{suffix}").is_file() for folder in folders for suffix in (".so", ".pyd")
    )


def _build_of() -> str:
    """The folder that torch keeps extensions for this Python and this CUDA in."""
    import torch

    version = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
    return f"{version}_cu{(torch.version.cuda or '').replace('.', '')}"


def compiler_obstacles() -> list[str]:
    """Why gsplat's kernels cannot be compiled here, one clause each; empty if they can or need not be."""
    import torch
    from torch.utils import cpp_extension

    if has_prebuilt_kernels():
        return []
    causes: list[str] = []
    wanted = (torch.version.cuda or "").split(".")[0]
    home = cpp_extension._find_cuda_home()  # pyright: ignore[reportPrivateUsage]  # what gsplat itself asks
    nvcc = (
        None
        if home is None
        else Path(home) / "bin" / ("nvcc.exe" if sys.platform == "win32" else "nvcc")
    )
    needs = (
        f"gsplat compiles its kernels on this machine and needs the CUDA toolkit {wanted}.x, of the same major version as"
        f" torch's CUDA {torch.version.cuda}"
    )
    if nvcc is None or not nvcc.is_file():
        causes.append(
            f"{needs}: no nvcc was found{f' in {home}' if home else ''}; install it, or set CUDA_HOME to its folder"
        )
    elif (found := _release(nvcc)) and found.split(".")[0] != wanted:
        causes.append(
            f"{needs}: {home} is of {found}; install that, or set CUDA_HOME to its folder"
        )
    elif not _has_headers(Path(str(home))):
        causes.append(
            f"{needs}: {home} has nvcc but no headers (cuda_runtime.h); set CUDA_HOME to the toolkit's folder"
        )
    compiler = cpp_extension.get_cxx_compiler()
    if shutil.which(shlex.split(compiler)[0]) is None:
        tools = (
            "install g++"
            if sys.platform != "win32"
            else "start from Visual Studio's developer command prompt"
        )
        causes.append(f"gsplat needs a C++ compiler, and there is no {compiler!r}: {tools}")
    with scripts_on_path():
        if shutil.which("ninja") is None:
            causes.append("gsplat needs ninja to compile its kernels: pip install ninja")
    return causes


def _release(nvcc: Path) -> str:
    """The version that nvcc says it is of; empty where it does not run."""
    try:
        answer = subprocess.run(
            [str(nvcc), "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"release (\d+\.\d+)", answer)
    return found[1] if found else ""


def _has_headers(home: Path) -> bool:
    """In the folder itself, or where conda puts them."""
    return (home / "include" / "cuda_runtime.h").is_file() or any(
        home.glob("targets/*/include/cuda_runtime.h")
    )


@contextlib.contextmanager
def scripts_on_path() -> Generator[None, None, None]:
    """Programs of this Python's environment, such as pip's ninja, are found in the block even where it is not activated."""
    before = os.environ.get("PATH")
    os.environ["PATH"] = os.pathsep.join(filter(None, [before, sysconfig.get_path("scripts")]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = before
