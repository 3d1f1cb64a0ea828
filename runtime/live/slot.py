"""A slot between threads that keeps only the newest item; nothing is queued."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Latest(Generic[Item]):
    """A slot for one item, overwritten by the next. Thread-safe for any number of writers and readers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._number = 0
        self._closed = False

    def put(self, item: Item) -> None:
        """Replace the item and wake waiting threads; ignored once closed."""
        with self._changed:
            if self._closed:
                return
            self._item, self._number = item, self._number + 1
            self._changed.notify_all()

    def wait(self, after: int, timeout: float) -> tuple[int, Item] | None:
        """The newest item once there is one that the caller has not seen.

        after: number of the last item seen, 0 at first; timeout: seconds, 0 only looks. Returns the item's number, counted
        from 1 (numbers left out are items overwritten unseen), and the item; None when the time is up or the slot closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number > after, timeout)
            if self._closed or self._number <= after or self._item is None:
                return None
            return self._number, self._item

    @property
    def closed(self) -> bool:
        """Whether nothing will come any more."""
        return self._closed

    def close(self) -> None:
        """Close, and wake waiting threads; closing again does nothing."""
        with self._changed:
            self._closed, self._item = True, None
            self._changed.notify_all()
