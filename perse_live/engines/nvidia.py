"""Common code for building and running engines of NVIDIA's runtimes: installed backends, and the GPU."""

from __future__ import annotations

import ctypes
import logging
import re
import sys
from importlib import import_module
from typing import Any, Literal, NamedTuple

from perse_live.extras import install_command

_log = logging.getLogger(__name__)

NvidiaBackend = Literal["tensorrt", "tensorrt-rtx"]
_MODULES: dict[NvidiaBackend, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


class Gpu(NamedTuple):
    """this machine's GPU."""

    name: str
    compute_capability: int
    """Such as 89 for 8.9."""

    @property
    def label(self) -> str:
        """For file names and messages: "NVIDIA-GeForce-RTX-4090-sm89"."""
        return f"{re.sub(r'[^A-Za-z0-9]+', '-', self.name).strip('-')}-sm{self.compute_capability}"


def import_backend(backend: NvidiaBackend) -> Any:
    """The backend's Python module. Raises ImportError where it is not installed or does not load."""
    try:
        return import_module(_MODULES[backend])
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the package {backend} is not installed: {install_command(backend)}"
        ) from error
    except Exception as error:  # a missing driver library is an OSError, a broken wheel anything
        raise ImportError(
            f"the package {backend} does not load ({type(error).__name__}: {error})".replace(
                "\n", " "
            )
        ) from error


def driver_obstacle() -> str:
    """Why NVIDIA's driver cannot be used, one clause; empty where it is there. Imports nothing."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(library)
    except OSError:
        return f"there is no NVIDIA driver ({library} does not load)"
    return ""


def find_gpu() -> Gpu:
    """The GPU that torch would use. Raises RuntimeError, one clause, where there is none.

    Torch is imported only where NVIDIA's driver is there.
    """
    if obstacle := driver_obstacle():
        raise RuntimeError(obstacle)
    try:
        import torch
    except Exception as error:  # not installed, or libraries of CUDA that it does not find
        raise RuntimeError(
            f"torch does not load ({type(error).__name__}: {error}): {install_command('cuda')}"
        ) from error
    if not torch.cuda.is_available():
        raise RuntimeError(
            "torch finds no CUDA device: it needs an NVIDIA GPU, a driver as new as itself, and its CUDA build"
        )
    major, minor = torch.cuda.get_device_capability()
    return Gpu(torch.cuda.get_device_name(), 10 * major + minor)


def collecting_logger(trt: Any) -> tuple[Any, list[str]]:
    """A logger for a backend that keeps errors in a list, and passes warnings on to `logging`."""
    errors: list[str] = []

    class Collecting(trt.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                errors.append(msg)
            elif severity == trt.ILogger.Severity.WARNING:
                _log.debug("%s: %s", trt.__name__, msg)

    return Collecting(), errors


def serves(backend: NvidiaBackend, device: str, gpu: Gpu) -> bool:
    """Whether an engine for a device, as the manifest names it, runs on this GPU."""
    if backend == "tensorrt":
        return device == gpu.label
    return str(gpu.compute_capability) in device.removeprefix("sm").split("+")
