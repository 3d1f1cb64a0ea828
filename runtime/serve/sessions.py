"""Sessions as child processes: starting, monitoring and ending them."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from perse_live.errors import UserError
from perse_live.json_child import JsonChild
from runtime.web.security import new_token

_log = logging.getLogger(__name__)
_START_SECONDS = 90.0  # a first start compiles kernels
_KEPT = 32  # number of ended sessions that are still listed

State = Literal["starting", "running", "ended"]


class NoRoom(UserError):
    """There are as many sessions as may run at a time."""


@dataclass(frozen=True)
class Session:
    """State of a session."""

    id: str
    avatar: str
    """The name of its avatar."""
    token: str = field(repr=False)
    """Of its owner."""
    viewer_token: str = field(repr=False)
    """Of those who watch."""
    started: float
    """`time.monotonic()`."""
    state: State = "starting"
    url: str = ""
    """Address of its server, on loopback; empty until it runs."""
    pid: int = 0
    active: float = 0.0
    """When it was last used, `time.monotonic()`."""
    problem: str = ""
    """Why it has ended, unless on request."""

    def described(self, now: float) -> dict[str, object]:
        """For the API."""
        return {
            "id": self.id,
            "avatar": self.avatar,
            "state": self.state,
            "pid": self.pid,
            "seconds": round(now - self.started, 1),
            "idle_seconds": round(now - self.active, 1),
            "problem": self.problem,
        }


class Sessions:
    """All sessions of a server. Thread-safe."""

    def __init__(
        self,
        command: Sequence[str],
        avatars: Mapping[str, Path],
        *,
        most: int,
        request: Mapping[str, Any],
        report: Callable[[str], None],
    ) -> None:
        """command: starts a session's process, which reads one line of JSON from stdin, says `{"ready": URL}` and ends with
        stdin; avatars: files by name; most: sessions at a time; request: what each process is told besides its avatar and tokens;
        report: told in a line of sessions that end by themselves.
        """
        self._command, self._avatars, self._most = list(command), dict(avatars), most
        self._request, self._report = dict(request), report
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Session, JsonChild, threading.Thread]] = {}
        self._ended: deque[Session] = deque(maxlen=_KEPT)
        self._closing = False

    @property
    def most(self) -> int:
        """How many may run at a time."""
        return self._most

    def all(self) -> list[Session]:
        """Those that run, in the order in which they were started, then those that have ended, the last first."""
        with self._lock:
            return [one for one, _, _ in self._running.values()] + list(reversed(self._ended))

    def find(self, session_id: str) -> Session | None:
        """One of them."""
        return next((one for one in self.all() if one.id == session_id), None)

    def of_token(self, token: str) -> tuple[Session, Literal["owner", "viewer"]] | None:
        """The session whose owner's or viewer's token this is."""
        for one in self.all():
            if secrets.compare_digest(token.encode(), one.token.encode()):
                return one, "owner"
            if secrets.compare_digest(token.encode(), one.viewer_token.encode()):
                return one, "viewer"
        return None

    def touch(self, session_id: str) -> None:
        """Note that a session is used."""
        self._change(session_id, active=time.monotonic())

    def start(self, avatar: str) -> Session:
        """Start a session and wait until it can be used (a few seconds).

        Raises NoRoom, and UserError for an avatar that is not there and a session that does not start.
        """
        path = self._avatars.get(avatar)
        if path is None:
            names = ", ".join(sorted(self._avatars))
            raise UserError(f"there is no avatar {avatar[:40]!r}: there are {names}")
        now = time.monotonic()
        session = Session(secrets.token_hex(8), avatar, new_token(), new_token(), now, active=now)
        with self._lock:
            if self._closing:
                raise NoRoom("the server is ending")
            if len(self._running) >= self._most:
                raise NoRoom(
                    f"{self._most} sessions run already, which is the limit: end one, or try again later"
                )
            child = JsonChild(self._command)
            session = replace(session, pid=child.pid)
            ready = threading.Event()
            thread = threading.Thread(
                target=self._watch, args=(session.id, child, ready), name="session", daemon=True
            )
            self._running[session.id] = session, child, thread
        child.send(
            {
                **self._request,
                "avatar": str(path),
                "token": session.token,
                "viewer_token": session.viewer_token,
            }
        )
        thread.start()
        came = ready.wait(_START_SECONDS)
        found = self.find(session.id)
        if found is None or found.state != "running":
            self.end(session.id)
            why = found.problem if found is not None else ""
            raise UserError(
                f"the session does not start: {why or 'it was ended' if came else 'it takes too long'}"
            )
        return found

    def end(self, session_id: str, *, why: str = "") -> bool:
        """End a session and wait for it; False where it does not run. why: reason to report, unless on request."""
        with self._lock:
            found = self._running.pop(session_id, None)
            if found is None:
                return False
            session, child, thread = found
            self._ended.append(replace(session, state="ended", problem=why))
        child.kill()
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join()  # it reads what the process said last
        child.close()
        if why:
            self._report(f"session {session_id} ({session.avatar}) has ended: {why}")
        return True

    def close(self) -> None:
        """End all."""
        with self._lock:
            self._closing = True
            running = list(self._running)
        ending = [threading.Thread(target=self.end, args=(one,)) for one in running]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()

    def _watch(self, session_id: str, child: JsonChild, ready: threading.Event) -> None:
        """Until the process ends."""
        for answer in child.answers():
            if isinstance(url := answer.get("ready"), str):
                self._change(session_id, state="running", url=url, active=time.monotonic())
                ready.set()
            elif isinstance(warning := answer.get("warning"), str):
                _log.info("session %s: %s", session_id, warning)
        code = child.wait()
        words = child.stderr_tail()
        last_line = words[-1] if words else ""
        why = (
            f"its process was ended by signal {-code}"
            if code < 0
            else f"its process ended with code {code}"
        )
        self.end(session_id, why=f"{why}: {last_line}" if last_line else why)
        ready.set()

    def _change(self, session_id: str, **changes: Any) -> None:
        with self._lock:
            found = self._running.get(session_id)
            if found is not None:
                self._running[session_id] = replace(found[0], **changes), found[1], found[2]
