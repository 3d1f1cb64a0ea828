from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypothesis_profiles import examples
from runtime.live.governor import LADDER, Effort, Governor

FPS = 30.0


def watched(
    governor: Governor,
    cost: Callable[[Effort, float], float],
    seconds: float,
    *,
    start: float = 0.0,
) -> list[tuple[float, Effort]]:
    """Let frames be drawn for a time, each taking what it costs; when the effort changed, and to what."""
    now, changes = start, [(start, governor.effort)]
    while now < start + seconds:
        length = cost(governor.effort, now)
        now += max(length, 1 / FPS)
        effort = governor.update(length, now)
        assert effort == governor.effort
        if effort != changes[-1][1]:
            changes.append((now, effort))
    return changes


def work(effort: Effort) -> float:
    """How much there is to draw, 1 at full effort; as measured, it falls less than the governor expects."""
    return 0.4 + 0.6 * effort.cost


def test_the_ladder_goes_down_step_by_step() -> None:
    assert LADDER[0] == Effort(1.0, 1.0)
    for upper, lower in pairwise(LADDER):
        assert lower.scale <= upper.scale and lower.gaussians <= upper.gaussians and lower != upper
        assert lower.scale > 0 and lower.gaussians > 0


def test_where_there_is_time_nothing_is_spared() -> None:
    governor = Governor(FPS)
    assert len(watched(governor, lambda _, __: 0.012, 60)) == 1
    assert governor.reason == ""


def test_a_single_slow_frame_changes_nothing() -> None:
    governor = Governor(FPS)
    changes = watched(governor, lambda _, now: 0.9 if 5 < now < 5.1 else 0.012, 20)
    assert len(changes) == 1


def test_under_heavy_load_it_goes_down_at_once_and_says_why() -> None:
    governor = Governor(FPS)
    changes = watched(governor, lambda _, __: 0.1, 4)
    assert [effort for _, effort in changes] == [LADDER[0], LADDER[-1]]
    assert (
        governor.reason
        == "drawing at 55% size and 50% of the Gaussians around the face to keep 30 fps"
    )


@pytest.mark.parametrize("length", [0.2, 0.5, 1.0])
def test_it_goes_down_also_where_a_frame_takes_for_ever(length: float) -> None:
    governor = Governor(FPS)
    changes = watched(governor, lambda _, __: length, 60)
    assert changes[-1][1] == LADDER[-1]


def test_it_stops_where_it_is_quick_enough() -> None:
    governor = Governor(FPS)
    changes = watched(governor, lambda effort, _: 0.035 * work(effort), 120)
    assert 0.035 * work(changes[-1][1]) <= 0.85 / FPS
    assert 0 < LADDER.index(changes[-1][1]) < len(LADDER) - 1


@pytest.mark.parametrize("busy", [4.0, 30.0, 300.0])
@pytest.mark.parametrize("full", [0.009, 0.014])
def test_it_is_back_at_full_size_ten_seconds_after_the_load_ends(busy: float, full: float) -> None:
    governor = Governor(FPS)
    watched(governor, lambda effort, _: 5 * full * work(effort), busy)
    assert governor.effort != LADDER[0]
    watched(governor, lambda effort, _: full * work(effort), 10, start=busy)
    assert governor.effort == LADDER[0]


def test_also_where_steps_up_were_mistakes_before() -> None:
    governor = Governor(FPS)
    changes = watched(governor, lambda effort, _: 0.015 if effort in LADDER[2:] else 0.031, 300)
    assert len(changes) > 6 and governor.effort != LADDER[0]
    watched(governor, lambda effort, _: 0.01 * work(effort), 10, start=300.0)
    assert governor.effort == LADDER[0]


@pytest.mark.slow
@examples(8)
@given(st.floats(0.002, 0.12), st.floats(0, 0.4), st.integers(0, 1000))
def test_it_never_hunts(full: float, noise: float, seed: int) -> None:
    """Under any constant load: down, and then tries that become ever rarer."""
    governor = Governor(FPS)
    state = [seed]

    def cost(effort: Effort, _: float) -> float:
        state[0] = (1103515245 * state[0] + 12345) % 2**31
        return full * work(effort) * (1 + noise * (state[0] / 2**30 - 1))

    changes = watched(governor, cost, 300)
    rungs = [LADDER.index(effort) for _, effort in changes]
    assert all(b[0] - a[0] >= 1.5 for a, b in pairwise(changes[1:]))
    turns = [
        changes[i][0]
        for i in range(1, len(rungs) - 1)
        if (rungs[i] - rungs[i - 1]) * (rungs[i + 1] - rungs[i]) < 0
    ]
    assert len(turns) <= 10, "mistakes are tried again ever later"


def test_patience_returns_once_the_machine_is_free_again() -> None:
    governor = Governor(FPS)
    watched(governor, lambda effort, _: 0.04 * work(effort), 300)  # tries in vain, ever more rarely
    up = watched(governor, lambda _, __: 0.005, 200, start=300.0)
    assert up[-1][1] == LADDER[0]
    watched(governor, lambda _, __: 0.06, 20, start=500.0)
    back = watched(governor, lambda _, __: 0.005, 60, start=520.0)
    assert back[-1][1] == LADDER[0], "as soon as if nothing had ever been amiss"


def test_a_pause_is_not_held_against_it() -> None:
    governor = Governor(FPS)
    watched(governor, lambda _, __: 0.01, 5)
    governor.update(0.2, 100.0)  # the first frame after the driver had hidden for a while
    assert governor.update(0.01, 100.03) == LADDER[0]
