"""A window with the avatar, where there is a display.

The window is a separate process: OpenCV's windows work on the main thread only on macOS, on one thread for ever on Linux (a
second thread hangs), and where the X server does not answer Qt ends the whole process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from typing import IO, cast

import numpy as np

from perse_live.child import python_command
from perse_live.errors import UserError
from runtime.live.frames import DrawnFrame
from runtime.sinks.fit import opaque_picture
from runtime.sinks.window import CLOSED_BY_USER, HEADER

_OPENING_SECONDS = 20.0  # a cold disk under a virus scanner takes its time to load OpenCV
_CLOSING_SECONDS = 2.0
# at once: an ordinary exit waits for the thread that waits for standard input, and then calls that a fatal error
_PROGRAM = "import os, sys; from runtime.sinks.window import main; os._exit(main(sys.argv[1]))"


class PreviewSink:
    """Shows the newest frame that the window is ready for; of a two-up matte the avatar on black."""

    def __init__(self, title: str = "perse-live") -> None:
        """Open the window.

        Raises UserError where there is no display, or it does not answer.
        """
        if sys.platform == "linux" and not os.environ.get("DISPLAY"):
            wayland = ", as there is no XWayland" if os.environ.get("WAYLAND_DISPLAY") else ""
            raise UserError(
                f"cannot open a preview window (no display{wayland}): look at the page in the browser instead"
            )
        self._complaints = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115 closed by `close`
        self._folder = tempfile.TemporaryDirectory(prefix="perse-live-", ignore_cleanup_errors=True)
        self._window = _start(title, self._complaints, self._folder.name)
        self._lock = threading.Lock()
        self._closed = False
        self._shown = -1  # the first answer says that the window stands
        self._answered = threading.Condition()
        self._sent = 0
        self._listener = threading.Thread(target=self._listen, name="preview", daemon=True)
        self._listener.start()
        with self._answered:
            self._answered.wait_for(
                lambda: self._shown >= 0 or not self._listener.is_alive(), _OPENING_SECONDS
            )
            stands = self._shown >= 0
        if not stands:
            problem = self._problem()
            self.close()
            raise UserError(
                f"cannot open a preview window ({problem}): look at the page in the browser instead"
            )

    @property
    def name(self) -> str:
        """Display name, such as "preview window"."""
        return "preview window"

    @property
    def shown(self) -> int:
        """How many frames the window has shown."""
        return max(self._shown, 0)

    @property
    def closed_by_user(self) -> bool:
        """Whether the user has closed the window."""
        return self._window.poll() == CLOSED_BY_USER

    def write(self, frame: DrawnFrame) -> None:
        """Show a frame; left out where the window has not shown the last one yet. Ignored after `close`.

        Raises UserError where the window is closed or gone.
        """
        with self._lock:
            if self._closed:
                return
            if not self._listener.is_alive():
                raise self._gone()
            if self._shown < self._sent:
                return
            picture = np.ascontiguousarray(opaque_picture(frame))
            try:
                self._input.write(HEADER.pack(picture.shape[1], picture.shape[0]))
                self._input.write(picture.data)
                self._input.flush()
            except OSError as error:
                self._window.wait(_CLOSING_SECONDS)
                raise self._gone() from error
            self._sent += 1

    def close(self) -> None:
        """Close the window. Closing again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(OSError):  # it may be gone
                self._input.close()
            try:
                self._window.wait(_CLOSING_SECONDS)
            except subprocess.TimeoutExpired:
                self._window.kill()
                self._window.wait()
            self._listener.join(_CLOSING_SECONDS)
            assert self._window.stdout is not None
            self._window.stdout.close()
            self._complaints.close()
            self._folder.cleanup()

    @property
    def _input(self) -> IO[bytes]:
        assert self._window.stdin is not None
        return self._window.stdin

    def _listen(self) -> None:
        assert self._window.stdout is not None
        while self._window.stdout.read(1):
            with self._answered:
                self._shown += 1
                self._answered.notify_all()
        self._window.wait()
        with self._answered:
            self._answered.notify_all()

    def _gone(self) -> UserError:
        if self.closed_by_user:
            return UserError("the preview window was closed")
        return UserError(f"the preview window is gone ({self._problem()})")

    def _problem(self) -> str:
        """The last error message of the window's process."""
        self._complaints.seek(0)
        lines = [
            line.strip()
            for line in self._complaints.read().decode("utf-8", "replace").splitlines()
            if line.strip()
        ]
        if self._window.poll() is None:
            return "it takes too long"
        return lines[0][:200] if lines else f"exit code {self._window.returncode}"


def _start(title: str, complaints: IO[bytes], folder: str) -> subprocess.Popen[bytes]:
    """The window's process, away from the terminal, so that Ctrl-C ends it through us only. folder: its working directory."""
    flags = (
        subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        if sys.platform == "win32"
        else 0
    )
    return subprocess.Popen(
        python_command(_PROGRAM, title),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        cwd=folder,
        creationflags=flags,
        start_new_session=sys.platform != "win32",
    )
