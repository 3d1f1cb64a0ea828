from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from runtime.pipeline import ahead, each


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


def test_each_item_is_worked_on_in_order_and_the_items_are_closed() -> None:
    closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.set()

    doubled = each(lambda number: 2 * number, numbers())
    assert [next(doubled), next(doubled)] == [0, 2]
    doubled.close()
    assert closed.is_set()
    assert list(each(str, [1, 2])) == ["1", "2"]


def test_closing_the_last_stage_ends_all_threads_and_closes_the_source() -> None:
    closed_in: list[str] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed_in.append(threading.current_thread().name)

    before = threading.active_count()
    first = ahead(endless(), room=2, name="first")
    second = ahead(each(str, first), room=2, name="second")
    with contextlib.closing(ahead(each(len, second), room=2, name="third")) as third:
        assert next(third) == 1
        assert threading.active_count() == before + 3
    assert threading.active_count() == before
    assert closed_in == ["first"]


def test_a_stage_that_was_never_read_is_closed_all_the_same() -> None:
    before = threading.active_count()
    ahead(iter(range(100)), room=1).close()
    assert threading.active_count() == before


def test_an_error_in_the_middle_stage_comes_through_and_ends_all_threads() -> None:
    def fails(number: int) -> int:
        if number == 7:
            raise ZeroDivisionError("seven")
        return number

    before = threading.active_count()
    middle = ahead(each(fails, ahead(iter(range(1000)), room=2)), room=2)
    last = ahead(each(str, middle), room=2)
    with pytest.raises(ZeroDivisionError, match="seven"):
        list(last)
    assert threading.active_count() == before


def test_an_interrupt_while_a_thread_starts_ends_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "second":
            raise KeyboardInterrupt

    def numbers() -> Iterator[int]:
        while True:
            time.sleep(0.01)  # being computed almost always
            yield 1

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        contextlib.closing(ahead(numbers(), room=2, name="first")) as first,
        contextlib.closing(ahead(each(abs, first), room=2, name="second")),
    ):
        pass
    assert not [one for one in threading.enumerate() if one.name in ("first", "second")]
