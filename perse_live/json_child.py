"""A child process that reads lines of JSON from stdin and answers with lines of JSON on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perse_live.checked import CheckedError, parse_json_object

_LONGEST_LINE = 1 << 20  # bytes
_STDERR_TAIL = 4000  # bytes of the end of stderr that are kept
_PATIENCE = 4.0  # seconds for a process to end by itself


class JsonChild:
    """One process, in a private working directory where relative imports find nothing. Close it at the end."""

    def __init__(self, command: Sequence[str]) -> None:
        """command: a program that ends when its stdin does. Raises OSError where the system cannot start it."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        self._folder = tempfile.TemporaryDirectory(prefix="perse-live-job-")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=self._folder.name,
            start_new_session=os.name == "posix",
        )

    @property
    def pid(self) -> int:
        """The system's number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can still receive lines."""
        return self._process.poll() is None

    def send(self, content: Mapping[str, Any]) -> None:
        """Send a line. Ignored if the process has ended, which `answers` and `wait` show."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(content).encode() + b"\n")
            self._process.stdin.flush()

    def answers(self) -> Iterator[Mapping[str, Any]]:
        """Yield its lines until it ends; lines that are no JSON objects are skipped."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline(_LONGEST_LINE):
            with contextlib.suppress(CheckedError):
                yield parse_json_object(line, max_bytes=_LONGEST_LINE)

    def wait(self) -> int:
        """Its exit code, once it has ended; negative: the signal that has ended it."""
        return self._process.wait()

    def stderr_tail(self) -> list[str]:
        """The last lines of its stderr, without empty ones."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _STDERR_TAIL))
        return [
            line.strip()
            for line in self._errors.read().decode("utf-8", "replace").splitlines()
            if line.strip()
        ]

    def kill(self) -> None:
        """End it and what it has started; doing so again does nothing."""
        if self.alive:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_PATIENCE)

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
