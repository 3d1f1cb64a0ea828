"""Processor time of a process by what its threads do."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path

import psutil

from perse_live.child import python_command

UNNAMED = "unnamed"
"""The role of a native thread that nobody has named: a library's pool that was started before any thread of ours."""
_NATIVE_ROLES = (("drishti", "MediaPipe"), ("av:", "film decoding"))
"""How native names begin, and what these threads do."""
_ANONYMOUS = "ThreadPoolExecutor-"  # Python's name for a pool that has none


def thread_seconds(process: psutil.Process) -> dict[int, float]:
    """Processor seconds of each thread so far, by the thread's number in the system."""
    return {one.id: one.user_time + one.system_time for one in process.threads()}


def thread_roles(process: psutil.Process, python_names: Mapping[int, str]) -> dict[int, str]:
    """What each thread does.

    python_names: of the threads that Python knows, by their number; empty for another process, whose threads are known by the
    names that the system keeps of them (Linux).
    """
    roles: dict[int, str] = {}
    for one in process.threads():
        native = _native_name(process.pid, one.id)
        python = python_names.get(one.id, "")
        name = native if not python or python.startswith(_ANONYMOUS) else python
        if one.id == process.pid:
            name = "main"
        elif name in ("", _native_name(process.pid, process.pid)):
            name = UNNAMED
        known = next((role for begin, role in _NATIVE_ROLES if name.startswith(begin)), None)
        roles[one.id] = known or re.sub(r"[-_:]?\d+$", "", name)
    return roles


class RoleTimes:
    """Processor time of this process by thread role, from `begin` to `end`."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def begin(self) -> None:
        """What was before does not count."""
        self._start = time.monotonic()
        self._total = _total(self._process)  # first here and last in `end`: it covers all roles
        self._before = thread_seconds(self._process)

    def end(self) -> tuple[float, dict[str, float]]:
        """Processor seconds a second: of all threads, ended ones too, and of those that are alive by role, largest first."""
        roles = thread_roles(
            self._process,
            {one.native_id: one.name for one in threading.enumerate() if one.native_id},
        )
        spent: Counter[str] = Counter()
        for number, used in thread_seconds(self._process).items():
            spent[roles.get(number, UNNAMED)] += used - self._before.get(number, 0.0)  # pyright: ignore[reportArgumentType]
        total = _total(self._process) - self._total
        seconds = time.monotonic() - self._start
        by_role = {
            role: round(used / seconds, 3)
            for role, used in spent.most_common()
            if used / seconds >= 0.001
        }
        return round(total / seconds, 3), by_role


@contextlib.contextmanager
def other_programs(count: int) -> Generator[None, None, None]:
    """So many processes that do nothing but take processor time."""
    processes = [subprocess.Popen(python_command("while True: pass")) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _total(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _native_name(process: int, thread: int) -> str:
    try:
        return (
            Path(f"/proc/{process}/task/{thread}/comm")
            .read_text(encoding="utf-8", errors="replace")
            .strip()
        )
    except OSError:
        return ""
