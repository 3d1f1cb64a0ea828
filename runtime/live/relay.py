"""Slow construction in the background while the previous object stays in use."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Relay(Generic[K, V]):
    """Returns the latest requested object that is ready; the next one is made in the background while
    the previous one stays in use.

    Not thread-safe. At most two objects are kept: the one in use and the one being made.
    """

    def __init__(self, make: Callable[[K], V], executor: Executor | None) -> None:
        """make: called in `executor`, the first time in the calling thread; None: always in the calling thread."""
        self._make, self._executor = make, executor
        self._now: tuple[K, V] | None = None
        self._coming: tuple[K, Future[V]] | None = None

    def get(self, wanted: K) -> tuple[K, V]:
        """The object in use and the key it was made for: `wanted` or an earlier one. Raises what `make` raises."""
        if self._coming is not None and self._coming[1].done():
            (made_for, future), self._coming = self._coming, None
            self._now = made_for, future.result()
        if self._now is None or (self._executor is None and self._now[0] != wanted):
            self._now = wanted, self._make(wanted)
        elif self._now[0] != wanted and self._coming is None and self._executor is not None:
            self._coming = wanted, self._executor.submit(self._make, wanted)
        return self._now
