"""The last step of a session: each sink runs in a separate thread, so that none delays another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from perse_live.errors import UserError
from perse_live.threads import name_this_thread
from runtime.live.frames import DrawnFrame
from runtime.live.slot import Latest
from runtime.sinks.contract import ReconnectingSink, Sink

_log = logging.getLogger(__name__)
_WAIT_SECONDS = 0.2


class Outlet:
    """Feeds one sink with the newest frames until it is closed or the sink fails."""

    def __init__(
        self,
        sink: Sink,
        drawn: Latest[DrawnFrame],
        *,
        on_end: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take ownership of the sink: the outlet closes it.

        on_end: called on the outlet's thread when the sink has ended, with the error if there was one.
        """
        self.sink, self._problem = sink, ""
        self._drawn, self._on_end = drawn, on_end
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"sink {sink.name}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the sink still takes frames."""
        return self._thread.is_alive()

    @property
    def problem(self) -> str:
        """Description of the current or final error; empty without one."""
        passing = self.sink.problem if isinstance(self.sink, ReconnectingSink) else ""
        return self._problem or passing

    def _work(self) -> None:
        name_this_thread()
        seen = 0
        try:
            while not self._stopped.is_set() and not self._drawn.closed:
                found = self._drawn.wait(seen, _WAIT_SECONDS)
                if found is not None:
                    seen, frame = found
                    self.sink.write(frame)
        except UserError as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"{self.sink.name} has failed: {error}")
            _log.exception("%s", self._problem)
        try:
            self.sink.close()
        except UserError as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"{self.sink.name} cannot be finished: {error}")
            _log.exception("%s", self._problem)
        self._on_end(self._problem)

    def _fail(self, problem: str) -> None:
        self._problem = self._problem or problem
        _log.warning("%s", problem)

    def finish(self) -> None:
        """Ask the sink to finish, without waiting for it."""
        self._stopped.set()

    def close(self) -> None:
        """Finish the sink and wait for it; closing again does nothing."""
        self._stopped.set()
        self._thread.join()
