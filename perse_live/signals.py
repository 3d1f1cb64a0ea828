"""Signals that end the program (Ctrl-C, `kill`, a closed terminal) are all handled in the same way: nothing half-written
stays.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Generator
from types import FrameType

# The last is Windows' Ctrl-Break, and what a closed console sends
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_DEAF_SECONDS = 5.0  # after a signal, during which others are ignored: what is open is being closed

Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def ending_signals(handler: Handler) -> Generator[None, None, None]:
    """Call a handler for every ending signal within the block; elsewhere than on the main thread nothing is changed.

    A signal that is ignored, as `nohup` does with SIGHUP, stays so; SIGINT excepted, which shells ignore for background jobs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, object] = {}
    for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)  # pyright: ignore[reportArgumentType]


def interrupting() -> Handler:
    """A handler that raises KeyboardInterrupt, but not again while what is open is being closed."""
    heard = -_DEAF_SECONDS

    def interrupt(_: int, __: FrameType | None) -> None:
        nonlocal heard
        now = time.monotonic()
        if now - heard >= _DEAF_SECONDS:
            heard = now
            raise KeyboardInterrupt

    return interrupt
