"""Silences libraries that write to stderr or stdout unconditionally: MediaPipe when it starts, gsplat when it compiles."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Generator

_stderr_lock = threading.RLock()
_PATIENCE = 5.0  # seconds; MediaPipe starts within one
# One at a time: sys.stdout is the process's, and of two threads whose blocks overlap
# the second would put back what the first set.
_stdout_lock = threading.RLock()


@contextlib.contextmanager
def quiet_stderr() -> Generator[None, None, None]:
    """Discard the process's stderr within the block, also Python's log messages; exceptions pass."""
    with _stderr_lock:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (AttributeError, OSError, ValueError):
            # no stderr to silence: a windowed program, a closed descriptor
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def heard_on_stderr() -> Generator[None, None, None]:
    """Block `quiet_stderr` of other threads within the block, so that what is written to stderr is not lost."""
    waited = _stderr_lock.acquire(timeout=_PATIENCE)
    try:
        yield
    finally:
        if waited:
            _stderr_lock.release()


@contextlib.contextmanager
def stdout_to_stderr() -> Generator[None, None, None]:
    """Redirect the process's stdout to stderr within the block, for Python and native code: stdout may have to be JSON."""
    with _stdout_lock, contextlib.redirect_stdout(sys.stderr):
        try:
            kept = os.dup(1)
        except OSError:  # no stdout
            yield
            return
        try:
            with contextlib.suppress(OSError):
                os.dup2(2, 1)
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


@contextlib.contextmanager
def quiet_stdout() -> Generator[None, None, None]:
    """Discard Python's stdout within the block."""
    with _stdout_lock, contextlib.redirect_stdout(io.StringIO()):
        yield
