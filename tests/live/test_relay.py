"""What is slow to make changes without a pause."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime.live.relay import Relay


def test_without_an_executor_it_is_made_at_once() -> None:
    made: list[str] = []
    relay = Relay[str, str](lambda word: made.append(word) or word.upper(), None)
    assert [relay.get(word) for word in "aab"] == [("a", "A"), ("a", "A"), ("b", "B")]
    assert made == ["a", "b"]


def test_the_one_before_serves_until_the_next_is_ready() -> None:
    gate = threading.Event()

    def make(word: str) -> str:
        if word != "a":
            assert gate.wait(10)
        return word.upper()

    with ThreadPoolExecutor(1) as executor:
        relay = Relay(make, executor)
        assert relay.get("a") == ("a", "A")
        assert relay.get("b") == ("a", "A")
        assert relay.get("c") == ("a", "A")  # b is being made
        gate.set()
        executor.submit(int).result(10)
        assert relay.get("b") == ("b", "B")
        relay.get("c")
        executor.submit(int).result(10)
        assert relay.get("c") == ("c", "C")


def test_what_making_raises_is_raised_to_who_asks() -> None:
    def make(divisor: int) -> float:
        return 1 / divisor

    with ThreadPoolExecutor(1) as executor:
        relay = Relay(make, executor)
        relay.get(1)
        relay.get(0)
        executor.submit(int).result(10)
        with pytest.raises(ZeroDivisionError):
            relay.get(0)
        assert relay.get(1) == (1, 1.0)
