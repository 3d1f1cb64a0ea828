from __future__ import annotations

import time

import pytest

from runtime.live.clock import StageClock


def test_nothing_was_measured_yet() -> None:
    timing = StageClock().timing()
    assert (timing.ms, timing.p95_ms, timing.per_second, timing.dropped) == (0.0, 0.0, 0.0, 0)


def test_median_and_95th_percentile_in_milliseconds() -> None:
    clock = StageClock()
    for milliseconds in range(1, 102):
        clock.add(milliseconds / 1000)
    timing = clock.timing()
    assert timing.ms == pytest.approx(51)
    assert timing.p95_ms == pytest.approx(96)
    assert timing.per_second > 0


def test_what_was_dropped_is_counted_since_the_start() -> None:
    clock = StageClock()
    clock.drop(2)
    clock.drop(0)
    clock.drop(3)
    assert clock.timing().dropped == 5


def test_only_the_last_seconds_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = StageClock()
    for _ in range(20):
        clock.add(0.5)
        now[0] += 0.1
    now[0] += 20
    for _ in range(21):
        now[0] += 0.05
        clock.add(0.01)
    timing = clock.timing()
    assert timing.ms == pytest.approx(10)
    assert timing.per_second == pytest.approx(20)


def test_a_block_that_fails_is_not_counted() -> None:
    clock = StageClock()
    with pytest.raises(ZeroDivisionError), clock.measured():
        raise ZeroDivisionError
    assert clock.timing().per_second == 0 and clock.timing().ms == 0
    with clock.measured():
        time.sleep(0.002)
    assert clock.timing().ms >= 2
