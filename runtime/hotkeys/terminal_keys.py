"""Single keys from the terminal that the program was started in, without Enter."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Protocol, TextIO

from runtime.hotkeys.delivery import Act, Report, deliver
from runtime.live.actions import Action

_LOOK_SECONDS = 0.5  # seconds between checks whether this program is in the foreground
_CHUNK = 256  # bytes; more at once than a person types
# What a terminal sends for F keys, arrows and characters with Alt (CSI of ECMA-48 5.4, SS3, ESC + one); its digits must not act.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O])", re.DOTALL)
# Within which the rest of a sequence follows; after it the escape counts as a key
_SEQUENCE_SECONDS = 0.05
_log = logging.getLogger(__name__)


class _Keyboard(Protocol):
    """A terminal's keys on one system."""

    def read(self) -> str | None:
        """The characters typed meanwhile, waiting for some for a while; None once there will be none any more."""
        ...

    def wake(self) -> None:
        """Make a `read` that waits return."""
        ...

    def close(self) -> None:
        """Restore the terminal's settings."""
        ...


class TerminalKeys:
    """Listens on a separate thread until closed; does nothing where standard input is not a terminal of this program."""

    def __init__(
        self,
        bindings: Mapping[str, Action],
        act: Act,
        report: Report,
        *,
        stdin: TextIO | None = None,
    ) -> None:
        """Start to listen.

        bindings: character in lower case to action, as `KeyMap.terminal_actions` has them; act, report: as for `GlobalKeys`.
        stdin: by default the process's own. While it listens nothing that is typed is shown; Ctrl-C still interrupts.
        """
        self._bindings, self._act, self._report = dict(bindings), act, report
        self._keyboard = _open_keyboard(stdin or sys.stdin)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        if self._keyboard is not None:
            atexit.register(self.close)  # the shell would be left without an echo
            self._thread = threading.Thread(
                target=self._listen, args=(self._keyboard,), name="terminal keys", daemon=True
            )
            self._thread.start()

    @property
    def listening(self) -> bool:
        """Whether keys typed into the terminal act."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Stop listening and restore the terminal's settings; closing again does nothing."""
        if self._keyboard is None or self._closed.is_set():
            return
        self._closed.set()
        atexit.unregister(self.close)
        self._keyboard.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _listen(self, keyboard: _Keyboard) -> None:
        with contextlib.closing(keyboard):
            while not self._closed.is_set():
                try:
                    typed = keyboard.read()
                except OSError as error:  # the terminal's window was closed
                    _log.info("no keys from the terminal any more: %s", error)
                    return
                if typed is None:
                    return
                for key in _SEQUENCE.sub("", typed).lower():
                    if key in self._bindings and not self._closed.is_set():
                        deliver(key, self._bindings[key], self._act, self._report)


def _open_keyboard(stdin: TextIO | None) -> _Keyboard | None:
    try:
        if stdin is None or not stdin.isatty():
            return None
        return _open_console() if sys.platform == "win32" else _open_tty(stdin.fileno())
    except (OSError, ValueError) as error:  # a closed or replaced standard input
        _log.info("no keys from the terminal: %s", error)
        return None


if sys.platform == "win32":
    import msvcrt

    class _Console:
        """The Windows console."""

        def __init__(self) -> None:
            self._woken = threading.Event()

        def read(self) -> str | None:
            if not msvcrt.kbhit():
                self._woken.wait(0.03)
                return ""
            key = msvcrt.getwch()
            if key in ("\0", "\xe0"):  # an arrow or F key: which one comes next
                msvcrt.getwch()
                return ""
            if key == "\x03":  # while getwch reads, the console passes on Ctrl-C as a character
                signal.raise_signal(signal.SIGINT)
                return ""
            return key

        def wake(self) -> None:
            self._woken.set()

        def close(self) -> None:
            pass

    def _open_console() -> _Keyboard:
        return _Console()
else:
    import select
    import socket
    import termios

    class _Tty:
        """A POSIX terminal."""

        def __init__(self, descriptor: int) -> None:
            self._descriptor = descriptor
            self._before = termios.tcgetattr(descriptor)
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self._pending = ""
            self._woken, self._waker = socket.socketpair()

        def read(self) -> str | None:
            try:
                return self._read()
            except termios.error as error:  # which is no OSError
                raise OSError(*error.args) from error

        def _read(self) -> str | None:
            # Reading or setting a terminal from the background stops the whole program
            if not self._ours():
                select.select([self._woken], [], [], _LOOK_SECONDS)
                return ""
            self._set_single_keys()
            wait = _SEQUENCE_SECONDS if self._pending else _LOOK_SECONDS
            ready, _, _ = select.select([self._descriptor, self._woken], [], [], wait)
            if self._descriptor not in ready or not self._ours():
                self._pending = ""
                return ""
            data = os.read(self._descriptor, _CHUNK)
            if not data:
                return None
            typed = self._pending + self._decoder.decode(data)
            end = _complete(typed)
            self._pending = typed[end:]
            return typed[:end]

        def wake(self) -> None:
            with contextlib.suppress(OSError):  # the thread has ended, and closed it
                self._waker.send(b"!")

        def close(self) -> None:
            self._woken.close()
            self._waker.close()
            with contextlib.suppress(termios.error):  # the terminal's window was closed
                if self._ours():
                    termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)

        def _ours(self) -> bool:
            """Whether this program is in the foreground, or nobody keeps jobs on this terminal."""
            try:
                return os.tcgetpgrp(self._descriptor) == os.getpgrp()
            except OSError:
                return True

        def _set_single_keys(self) -> None:
            """No line editing and no echo; after Ctrl-Z and fg once more. Signals as they were, so Ctrl-C interrupts."""
            modes = termios.tcgetattr(self._descriptor)
            if modes[3] & (termios.ICANON | termios.ECHO):
                modes[3] &= ~(termios.ICANON | termios.ECHO)
                modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
                termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)

    def _open_tty(descriptor: int) -> _Keyboard:
        try:
            return _Tty(descriptor)
        except termios.error as error:
            raise OSError(*error.args) from error


def _complete(typed: str) -> int:
    """How many characters there are before an escape sequence whose end is not there yet."""
    start = typed.rfind("\x1b")
    return len(typed) if start < 0 or _SEQUENCE.match(typed, start) else start
