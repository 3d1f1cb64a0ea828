from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.live.fades import SECONDS, Fade

WEIGHT = st.floats(0, 1)
_STEEPEST = 1.5 / SECONDS  # of smoothstep from 0 to 1


@given(WEIGHT, st.lists(st.tuples(st.floats(0, 1), WEIGHT), max_size=6))
def test_a_fade_has_no_jump_and_stays_within_0_and_1_however_it_is_redirected(
    start: float, orders: list[tuple[float, float]]
) -> None:
    fade = Fade(start)
    clock, end = 10.0, 12.0
    changes: list[tuple[float, float]] = []
    for gap, target in orders:
        end = clock + gap
        clock = end
        changes.append((end, target))
    steps = [10 + i / 100 for i in range(round((end - 10 + 1) * 100))]
    seen: list[float] = []
    for time in steps:
        while changes and changes[0][0] <= time:
            when, target = changes.pop(0)
            before = fade.at(when)
            fade.to(target, when)
            assert fade.at(when) == pytest.approx(before, abs=1e-12)
            assert fade.target == target
        seen.append(fade.at(time))
    assert all(0 <= weight <= 1 for weight in seen)
    assert all(abs(b - a) <= _STEEPEST / 100 + 1e-9 for a, b in pairwise(seen))
    assert seen[-1] == pytest.approx(fade.target, abs=1e-12)


@given(WEIGHT, WEIGHT, st.floats(0, 1e6))
def test_it_takes_0_4_seconds(start: float, target: float, time: float) -> None:
    fade = Fade(start)
    assert fade.at(time) == start
    fade.to(target, time)
    assert fade.at(time) == start
    middle = fade.at(time + SECONDS / 2)
    assert middle == pytest.approx((start + target) / 2, abs=1e-6)
    assert fade.at(time + SECONDS + 1e-6) == pytest.approx(target, abs=1e-12)
    assert SECONDS == 0.4


def test_off_is_exactly_off() -> None:
    fade = Fade(0.37)
    fade.to(0.0, 5.0)
    assert fade.at(5.0 + SECONDS + 1e-9) == 0.0, "so that nothing is blended for it any more"
