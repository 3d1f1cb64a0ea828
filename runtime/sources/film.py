"""A video file in place of a camera, played at its frame rate."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.film.reader import Film, open_film
from runtime.live.frames import CapturedFrame
from runtime.sources.contract import SourceLost

_log = logging.getLogger(__name__)
_REOPEN_SECONDS = 0.5  # between two tries to open a film whose file has gone
_LATE_FOR_GOOD = 0.15  # seconds; a reader that is later than that after skipping cannot decode as fast as the film runs


@dataclass(frozen=True, eq=False)
class _Shot:
    """A decoded picture and when it is due, seconds since the film began; loops go on counting."""

    image: UInt8Array
    due: float
    turn: int = 0
    start: float = 0.0  # of this turn, seconds since the film began


@dataclass(frozen=True)
class FilmClock:
    """Playback position of a film."""

    began: float
    """When the first picture of this turn was due, seconds of `time.monotonic()`."""
    turn: int
    """Counts from 0 how often the film began again."""


class FilmSource:
    """Plays a video by the wall clock, from the first read on.

    Pictures that are late are skipped. Where the machine slept, or cannot decode as fast as the film runs, the clock is set back
    to the current picture, so that pictures are shown. A film that is repeated is waited for where its file has gone, and
    starts again when it is back.
    """

    def __init__(self, path: Path, *, repeat: bool) -> None:
        """Open a film.

        path: any film that `open_film` reads; repeat: whether it starts again at its end, while time grows on. Raises
        UserError where the file is no video.
        """
        film = open_film(path)
        self._path, self._repeat, self.has_sound = path, repeat, film.has_sound
        self._retry_at: float | None = None  # while the file cannot be read
        self._interval = 1 / float(film.rate)
        self._shots = _looped(film, self._interval) if repeat else _once(film)
        self._next: _Shot | None = None
        self._end = 0.0  # of the last picture seen, seconds since the film began
        self._began: float | None = None
        self._clock: FilmClock | None = None
        self._reading = threading.Lock()
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    @property
    def live(self) -> bool:
        """False: it can be looked at from any picture on."""
        return False

    def clock(self) -> FilmClock | None:
        """When the film's pictures are due, for its sound; None before the first and once closed. Any thread may ask."""
        return self._clock

    def read(self, timeout: float) -> CapturedFrame | None:
        """The newest picture that is due and was not read yet, with the time when it was due; None if none was in time.

        timeout: seconds. Where the file can no longer be read, raises SourceLost for a film that is repeated, else UserError;
        EOFError when a film that is not repeated is over.
        """
        with self._reading:
            deadline = time.monotonic() + timeout
            shot = self._upcoming()
            if self._began is None:
                self._began = time.monotonic()
            if not self._wait_until(
                self._began + (self._end if shot is None else shot.due), deadline
            ):
                return None
            if shot is None:
                raise EOFError(f"{self._path} is over")
            return self._take(shot, self._began)

    def close(self) -> None:
        """Stop, and wake a read that waits; closing again does nothing."""
        self._closed.set()
        with self._reading:
            self._shots.close()
            self._clock = None

    def _take(self, shot: _Shot, began: float) -> CapturedFrame:
        # Skipping must not keep pictures from being seen
        give_up = time.monotonic() + self._interval
        while shot.due + self._interval < time.monotonic() - began and time.monotonic() < give_up:
            self._next = None
            following = self._upcoming()
            if following is None or following.due > time.monotonic() - began:
                break
            shot = following
        if self._next is shot:
            self._next = None
        if time.monotonic() - began - shot.due > _LATE_FOR_GOOD:
            began = self._began = time.monotonic() - shot.due
        self._clock = FilmClock(began + shot.start, shot.turn)
        return CapturedFrame(shot.image, began + shot.due)

    def _upcoming(self) -> _Shot | None:
        """The next picture, decoded ahead; None after the last."""
        if self._next is None and not self._closed.is_set():
            if self._retry_at is not None:
                self._reopen(self._retry_at)
            try:
                self._next = next(self._shots, None)
            except UserError as error:
                if not self._repeat:
                    raise
                self._retry_at = time.monotonic() + _REOPEN_SECONDS
                raise SourceLost(f"{error}; the film goes on when the file is back") from error
            if self._next is not None:
                self._end = self._next.due + self._interval
        return self._next

    def _reopen(self, retry_at: float) -> None:
        """Begin again; raises SourceLost where the file is not back, and before the next try is due."""
        now = time.monotonic()
        if now < retry_at:
            raise SourceLost(f"{self._path} cannot be read: the film goes on when the file is back")
        try:
            film = open_film(self._path)
        except UserError as error:
            self._retry_at = now + _REOPEN_SECONDS
            raise SourceLost(f"{error}; the film goes on when the file is back") from error
        self._interval = 1 / float(film.rate)
        self._shots = _looped(
            film,
            self._interval,
            start=self._end,
            turn=0 if self._clock is None else self._clock.turn + 1,
        )
        self._retry_at, self._began = None, now - self._end

    def _wait_until(self, moment: float, deadline: float) -> bool:
        """Whether that moment comes before the deadline, once it has come; False too when closed."""
        closed = self._closed.wait(max(0.0, min(moment, deadline) - time.monotonic()))
        return not closed and moment <= time.monotonic()


def _once(film: Film) -> Generator[_Shot, None, None]:
    with closing(film.frames()) as frames:  # closes the file in mid-film too
        for frame in frames:
            yield _Shot(frame.image, float(frame.time))
    _say(film)


def _looped(
    film: Film, interval: float, *, start: float = 0.0, turn: int = 0
) -> Generator[_Shot, None, None]:
    """start: when the first picture is due, seconds; turn: the number of the first one."""
    first = turn
    for turn in itertools.count(first):
        end = start
        with closing(film.frames()) as frames:
            for frame in frames:
                due = start + float(frame.time)
                end = due + interval
                yield _Shot(frame.image, due, turn, start)
        start = end
        if turn == first:
            _say(film)


def _say(film: Film) -> None:
    for line in film.warnings():
        _log.warning("%s", line)
