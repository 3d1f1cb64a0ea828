"""Commands of perse-live in processes of their own, which say how far they are as lines of JSON.

The child is `perse_live.cli.studio_worker`: it loads the builder first, waits for its command on stdin, and ends with its stdin,
so that no child outlives the studio.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import psutil

from perse_live.checked import CheckedError, parse_json_object
from perse_live.child import module_command

_LONGEST_LINE = 1 << 16  # bytes of a report
_LAST_WORDS = 4000  # bytes of stderr of which the last line is told
_PATIENCE = 3.0  # seconds for a child to end by itself
_NICENESS = 10  # of the child: a live session on the same cores goes first

Told = Callable[[Mapping[str, Any]], None]
"""Given each report of the child, on the thread that waits for it."""


class Child:
    """One process for one command; started before the command is known, so that loading the builder costs nobody's time."""

    def __init__(self) -> None:
        """Start it. Raises OSError where the system cannot."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        self._folder = tempfile.TemporaryDirectory(prefix="perse-live-job-")  # relative imports find nothing there
        self._process = subprocess.Popen(
            module_command("perse_live.cli.studio_worker"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            cwd=self._folder.name, start_new_session=os.name == "posix")
        with contextlib.suppress(psutil.Error, OSError):
            psutil.Process(self._process.pid).nice(_NICENESS if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
        self._killed = False

    @property
    def alive(self) -> bool:
        """Whether it can still be given a command."""
        return self._process.poll() is None

    def run(self, arguments: Sequence[str], told: Told) -> str:
        """Run a command to its end. Returns what went wrong, in one line for the user; "" for nothing.

        arguments: of `perse-live`, with `--progress-json` among them.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps({"arguments": list(arguments)}).encode() + b"\n")
            self._process.stdin.flush()
        for line in iter(lambda: cast("Any", self._process.stdout).readline(_LONGEST_LINE), b""):
            with contextlib.suppress(CheckedError):
                told(parse_json_object(line, max_bytes=_LONGEST_LINE))
        code = self._process.wait()
        return "" if code == 0 else self._why(code)

    def kill(self) -> None:
        """End it and what it has started; doing so again does nothing."""
        self._killed = True
        process = self._process
        if process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_PATIENCE)

    def close(self) -> None:
        """Kill it where it runs, and free what belongs to it."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._errors.close()
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, number)
            else:
                self._process.kill()

    def _why(self, code: int) -> str:
        if self._killed:
            return "it was cancelled"
        said = self._last_words()
        if code < 0 and not said.startswith("perse-live:"):
            return (f"the builder was ended from outside (signal {-code}): perhaps the memory was full; close other programs and"
                    " try again")
        return said.removeprefix("perse-live:").strip() or f"the builder ended with code {code} and said nothing"

    def _last_words(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _LAST_WORDS))
        lines = [line.strip() for line in self._errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        ours = [line for line in lines if line.startswith("perse-live:") and not line.startswith("perse-live: warning:")]
        return (ours or lines or [""])[-1]


class Spare:
    """Keeps one child ready while somebody is about to need it."""

    def __init__(self, seconds: float) -> None:
        """seconds: after which a child that nobody has taken is ended."""
        self._seconds = seconds
        self._changing = threading.Lock()
        self._child: Child | None = None
        self._timer: threading.Timer | None = None

    def prepare(self) -> None:
        """Have a child ready soon; asked again, the same one stays for longer."""
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
