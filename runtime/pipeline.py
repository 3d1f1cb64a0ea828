"""Stages of work that overlap: each in a separate thread, items in order, small bounded queues between them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")
# After which a thread that waits for room checks whether anybody still wants its work
_POLL_SECONDS = 0.1


def ahead(items: Iterable[Item], *, room: int, name: str = "ahead") -> Generator[Item, None, None]:
    """The same items, computed ahead in a separate thread while the caller works on earlier ones.

    room: how many may wait; name: of the thread. Exceptions are raised here, at the item's position. Closing the
    generator stops the thread after the current item and closes `items` in that thread; it has ended when `close` returns.
    """
    running = _ahead(items, room, name)
    try:
        # To where the thread runs, so that closing ends it whether or not anything was taken
        next(running)
    except BaseException:  # the traceback would keep it open, and its thread inside `items`
        running.close()
        raise
    return cast("Generator[Item, None, None]", running)


def _ahead(items: Iterable[Item], room: int, name: str) -> Generator[Item | None, None, None]:
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(room)
    stopped = threading.Event()

    def hand_over(item: Item | None, error: BaseException | None) -> None:
        while not stopped.is_set():
            try:
                waiting.put((item, error), timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            with _closed_afterwards(items) as source:
                for item in source:
                    hand_over(item, None)
                    if stopped.is_set():
                        return
            hand_over(None, StopIteration())
        except BaseException as error:  # any exception is passed to the caller
            hand_over(None, error)

    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()  # an interrupt may come while it starts
        yield None
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            assert item is not None
            yield item
    finally:
        stopped.set()
        if thread.ident is not None:
            thread.join()


def each(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """The results of a function for each item in order; closing this generator closes `items` too, as `ahead` needs it."""
    with _closed_afterwards(items) as source:
        for item in source:
            yield work(item)


@contextlib.contextmanager
def _closed_afterwards(items: Iterable[Item]) -> Generator[Iterator[Item], None, None]:
    """An iterator over items; where it is a generator, it is closed at the end, so that what it holds open is freed."""
    source = iter(items)
    try:
        yield source
    finally:
        if isinstance(source, Generator):
            source.close()
