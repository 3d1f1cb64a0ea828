from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from runtime.pipeline import ahead


def test_items_come_in_order_from_another_thread() -> None:
    makers: set[int] = set()

    def numbers() -> Iterator[int]:
        for number in range(100):
            makers.add(threading.get_ident())
            yield number

    assert list(ahead(numbers(), room=3)) == list(range(100))
    assert makers and threading.get_ident() not in makers


def test_no_more_is_made_than_there_is_room_for() -> None:
    made = threading.Semaphore(0)
    count = [0]

    def numbers() -> Iterator[int]:
        for number in range(1000):
            count[0] += 1
            made.release()
            yield number

    items = ahead(numbers(), room=4)
    assert next(items) == 0
    for _ in range(5):  # one taken, four waiting; a sixth may be made and wait for room
        made.acquire()
    assert next(items) == 1
    items.close()
    assert count[0] <= 8


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("second")

    items = ahead(broken(), room=10)
    assert next(items) == 1
    with pytest.raises(KeyError, match="second"):
        next(items)


def test_closing_ends_the_thread() -> None:
    ended = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.set()

    before = threading.active_count()
    with contextlib.closing(ahead(endless(), room=2)) as items:
        assert next(items) == 0
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
