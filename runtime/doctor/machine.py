"""The computer itself: system, processor, cores and memory."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from runtime.bench.drawing import machine
from runtime.doctor.finding import Finding, never_raising

_OLDEST, _NEWEST = (3, 10), (3, 13)  # of Python, as in pyproject.toml
_MIN_MEMORY = 1 << 30  # bytes; a session with one avatar takes about half of it
_SHOWN_FEATURES = ("avx2", "fma", "avx512f", "avx512vl", "neon", "sve")
_ROOT = Path("/")


@never_raising("system")
def system() -> Finding:
    """Python and operating system."""
    found = f"Python {platform.python_version()} ({platform.machine()}), {platform.platform()}"
    if not _OLDEST <= sys.version_info[:2] <= _NEWEST:
        return Finding("system", "warning", found, "this Python is not tested: use 3.10 to 3.13")
    if sys.maxsize < 1 << 32:
        return Finding(
            "system",
            "problem",
            f"{found}, 32 bit",
            "install a 64-bit Python: MediaPipe and Numba have no other",
        )
    return Finding("system", "ok", found)


@never_raising("processor")
def processor() -> Finding:
    """Model, and the vector instructions that drawing is compiled for."""
    import llvmlite.binding as llvm

    features = {name for name, there in llvm.get_host_cpu_features().items() if there}
    shown = [name for name in _SHOWN_FEATURES if name in features]
    found = f"{machine()['processor']}, {llvm.get_host_cpu_name()} to the compiler, vectors: {', '.join(shown) or 'none known'}"
    # Which all have NEON
    if not features & {"avx2", "neon"} and platform.machine().lower() not in ("arm64", "aarch64"):
        return Finding(
            "processor",
            "warning",
            found,
            "without AVX2 or NEON drawing is slow: draw smaller (--size 256); in a"
            " virtual machine, pass the host's processor through",
        )
    return Finding("processor", "ok", found)


@never_raising("cores")
def cores(*, root: Path = _ROOT) -> Finding:
    """How many cores this process may use; a container's limit counts (control groups below `root`)."""
    there, usable = os.cpu_count() or 1, usable_cores(root=root)
    found = f"{there} cores, {usable:g} of them usable" if usable < there else f"{there} cores"
    if usable < 2:
        return Finding(
            "cores",
            "warning",
            found,
            "tracking and drawing have to share: draw smaller (--size 384)",
        )
    return Finding("cores", "ok", found)


def usable_cores(*, root: Path = _ROOT) -> float:
    """Cores that this process may keep busy: its affinity, and the quota of its container."""
    count = float(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    limit = _first_line(root / "sys/fs/cgroup/cpu.max").split()
    if len(limit) == 2 and limit[0].isdigit():
        count = min(count, int(limit[0]) / int(limit[1]))
    quota, period = (
        _first_line(root / f"sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period")
    )
    if quota.isdigit() and period.isdigit():
        count = min(count, int(quota) / int(period))
    return count


@never_raising("memory")
def memory(*, root: Path = _ROOT) -> Finding:
    """How much memory is free; a container's limit counts."""
    free = _free_memory(root)
    if free is None:
        return Finding("memory", "ok", "this system does not say how much is free")
    found = f"{free / (1 << 30):.1f} GiB free"
    if free < _MIN_MEMORY:
        return Finding(
            "memory",
            "warning",
            found,
            "close other programs: a session takes about half a gigabyte",
        )
    return Finding("memory", "ok", found)


def _free_memory(root: Path) -> int | None:
    """Bytes, None where nobody knows."""
    if sys.platform == "win32":
        return _windows_free_memory()
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None
    )
    limit, used = (
        _first_line(root / f"sys/fs/cgroup/memory.{name}") for name in ("max", "current")
    )
    if free is not None and limit.isdigit() and used.isdigit():
        free = min(free, int(limit) - int(used))
    return free


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.readline().strip()
    except (OSError, ValueError):
        return ""


if sys.platform == "win32":
    import ctypes

    class _MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in (
                    "total",
                    "free",
                    "total_page_file",
                    "free_page_file",
                    "total_virtual",
                    "free_virtual",
                    "free_extended",
                )
            ),
        )

    def _windows_free_memory() -> int | None:
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        return (
            int(status.free)
            if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
            else None
        )
else:

    def _windows_free_memory() -> int | None:
        return None
