"""Work done ahead in another thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
_PATIENCE = 0.1  # seconds after which a thread that waits for room looks whether anybody still wants its work


def ahead(items: Iterable[Item], *, room: int) -> Generator[Item, None, None]:
    """The same items, made in a thread of their own while the caller works on earlier ones.

    room: how many may wait. What goes wrong while making an item is raised here, in its place. Closing the generator, as leaving
    a loop over it does, stops the thread after the item at hand; it has ended when `close` returns.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(room)
    stopped = threading.Event()

    def hand_over(item: Item | None, error: BaseException | None) -> None:
        while not stopped.is_set():
            try:
                waiting.put((item, error), timeout=_PATIENCE)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                hand_over(item, None)
                if stopped.is_set():
                    return
            hand_over(None, StopIteration())
        except BaseException as error:  # whatever it is, it belongs to the caller
            hand_over(None, error)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
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
        thread.join()
