"""Commands of perse-live in child processes, which report progress as lines of JSON.

The child is `perse_live.cli.studio_worker`: it loads the builder first, waits for its command on stdin, and ends with its stdin,
so that no child outlives the studio.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from perse_live.child import module_command
from perse_live.json_child import JsonChild

_NICENESS = 10  # of a child that gives way

OnReport = Callable[[Mapping[str, Any]], None]
"""Called with each report of the child, in the waiting thread."""


class Child:
    """One process for one command; started before the command is known, so that the builder is loaded in advance."""

    def __init__(self) -> None:
        """Start it. Raises OSError where the system cannot."""
        self._child = JsonChild(module_command("perse_live.cli.studio_worker"))
        self._killed = False

    @property
    def alive(self) -> bool:
        """Whether it can still receive a command."""
        return self._child.alive

    def give_way(self) -> None:
        """Lower its priority, for example below a live session; irreversible."""
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(self._child.pid)
            if os.name == "posix":
                process.nice(process.nice() + _NICENESS)
            else:
                process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)

    def run(self, arguments: Sequence[str], on_report: OnReport) -> str:
        """Run a command to its end. Returns what went wrong, in one line for the user; "" for nothing.

        arguments: of `perse-live`, with `--progress-json` among them.
        """
        self._child.send({"arguments": list(arguments)})
        for report in self._child.answers():
            on_report(report)
        code = self._child.wait()
        return "" if code == 0 else self._why(code)

    def kill(self) -> None:
        """End it and what it has started; doing so again does nothing."""
        self._killed = True
        self._child.kill()

    def close(self) -> None:
        """Kill it where it runs, and free what belongs to it."""
        self._killed = True
        self._child.close()

    def _why(self, code: int) -> str:
        if self._killed:
            return "it was cancelled"
        lines = self._child.stderr_tail()
        ours = [
            line
            for line in lines
            if line.startswith("perse-live:") and not line.startswith("perse-live: warning:")
        ]
        last_line = (ours or lines or [""])[-1]
        if code < 0 and not last_line.startswith("perse-live:"):
            return (
                f"the builder was ended from outside (signal {-code}): perhaps the memory was full; close other programs and"
                " try again"
            )
        return (
            last_line.removeprefix("perse-live:").strip()
            or f"the builder ended with code {code} and said nothing"
        )


class Spare:
    """Keeps one started child ready for the next command."""

    def __init__(self, seconds: float) -> None:
        """seconds: after which a child that nobody has taken is ended."""
        self._seconds = seconds
        self._changing = threading.Lock()
        self._child: Child | None = None
        self._timer: threading.Timer | None = None

    def prepare(self) -> None:
        """Start a child, or keep the present one for longer."""
        with self._changing:
            if self._child is None or not self._child.alive:
                self._drop()
                self._child = Child()
            self._wind_up()

    def take(self) -> Child:
        """The child that is ready, else a new one. The caller closes it."""
        with self._changing:
            child, self._child = self._child, None
            self._stop_timer()
        if child is not None and child.alive:
            return child
        if child is not None:
            child.close()
        return Child()

    def close(self) -> None:
        """End the child that nobody has taken."""
        with self._changing:
            self._stop_timer()
            self._drop()

    def _wind_up(self) -> None:
        self._stop_timer()
        self._timer = threading.Timer(self._seconds, self.close)
        self._timer.daemon = True
        self._timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


def inside(folder: Path, name: object) -> Path | None:
    """A file of a job's folder by the name that the job tells; None where it is not there, or is not in that folder."""
    if not isinstance(name, str) or Path(name).name != name or name.startswith("."):
        return None
    path = folder / name
    return path if path.is_file() else None
