from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from runtime.live.slot import Latest

PATIENCE = 30.0  # seconds


@given(st.lists(st.one_of(st.integers(), st.just("look")), max_size=30))
def test_who_looks_sees_the_newest_once_and_nothing_queues(events: list[int | str]) -> None:
    slot: Latest[int] = Latest()
    seen, count, newest = 0, 0, None
    for event in events:
        if isinstance(event, int):
            slot.put(event)
            count, newest = count + 1, event
            continue
        found = slot.wait(seen, 0)
        if seen == count:
            assert found is None
        else:
            assert found == (count, newest)
            seen = count
            assert slot.wait(seen, 0) is None


def test_an_item_that_counts_as_false_is_an_item_too() -> None:
    slot: Latest[int] = Latest()
    slot.put(0)
    assert slot.wait(0, 0) == (1, 0)


def test_everybody_who_waits_gets_it() -> None:
    slot: Latest[str] = Latest()
    answers: list[tuple[int, str] | None] = []
    threads = [
        threading.Thread(target=lambda: answers.append(slot.wait(0, PATIENCE))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    slot.put("news")
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [(1, "news")] * 4


def test_closing_wakes_who_waits_and_ends_it_for_good() -> None:
    slot: Latest[str] = Latest()
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(slot.wait(0, PATIENCE))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert not slot.closed
    slot.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [None] * 3
    slot.put("late")
    slot.close()
    assert slot.closed
    assert slot.wait(0, PATIENCE) is None


def test_what_was_there_is_gone_once_closed() -> None:
    slot: Latest[str] = Latest()
    slot.put("old")
    slot.close()
    assert slot.wait(0, 0) is None


def test_a_quick_writer_never_waits_for_a_slow_reader() -> None:
    slot: Latest[int] = Latest()
    seen: list[tuple[int, int]] = []

    def read() -> None:
        number = 0
        while (found := slot.wait(number, PATIENCE)) is not None:
            seen.append(found)
            number = found[0]

    reader = threading.Thread(target=read)
    reader.start()
    for item in range(20_000):
        slot.put(item)
    while not seen or seen[-1][1] != 19_999:
        assert reader.is_alive()
        time.sleep(0.01)
    slot.close()
    reader.join(PATIENCE)
    numbers = [number for number, _ in seen]
    assert numbers == sorted(set(numbers)), "none twice, none backwards"
    assert all(item == number - 1 for number, item in seen), "the number says how many went by"
