"""Libraries in C++ that chat on the process's stderr, such as MediaPipe when it starts, and have no switch for it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Generator

_stderr_lock = threading.Lock()


@contextlib.contextmanager
def quiet_stderr() -> Generator[None, None, None]:
    """Send the process's stderr to nowhere. What Python logs meanwhile is lost too; errors are exceptions, and pass."""
    with _stderr_lock:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (AttributeError, OSError, ValueError):  # no stderr to silence: a windowed program, a closed descriptor
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
