"""Short-lived notices of a session to its driver, shown on every page."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

_log = logging.getLogger(__name__)
NOTICE_SECONDS = 8.0
"""How long a notice is shown."""
_MOST = 6  # kept at a time


class Notices:
    """The latest notices; any thread may add one and read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notices: deque[tuple[float, str]] = deque(maxlen=_MOST)

    def add(self, text: str) -> None:
        """Show a text for `NOTICE_SECONDS`, and log it."""
        _log.info("%s", text)
        with self._lock:
            self._notices.append((time.monotonic(), text))

    def recent(self, now: float) -> list[str]:
        """What is shown at `now` (seconds of time.monotonic), the oldest first."""
        with self._lock:
            return [text for when, text in self._notices if now - when < NOTICE_SECONDS]
