from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perse_live.cli.console import Remaining


def test_a_job_at_the_usual_pace_takes_the_usual_time() -> None:
    job = Remaining({"load": 1.0, "refine": 8.0, "bind": 1.0})
    assert job.tell("load", 0.0, 100.0) is None  # nothing is known yet
    assert job.tell("refine", 0.0, 101.0) == pytest.approx(9.0)
    assert job.tell("refine", 0.5, 105.0) == pytest.approx(5.0)
    assert job.tell("bind", 1.0, 110.0) == pytest.approx(0.0)


def test_a_slow_machine_is_noticed() -> None:
    job = Remaining({"load": 1.0, "refine": 9.0})
    job.tell("load", 0.0, 0.0)
    assert job.tell("refine", 0.0, 3.0) == pytest.approx(27.0)


def test_steps_that_are_no_part_of_the_job_change_nothing() -> None:
    job = Remaining({"load": 1.0, "refine": 9.0})
    assert job.tell("fetching a model", 0.5, 3.0) is None and job.share == 0
    job.tell("load", 0.0, 60.0)  # the download's time does not count
    assert job.tell("refine", 0.0, 61.0) == pytest.approx(9.0)


@given(
    st.lists(st.floats(0.1, 20.0), min_size=1, max_size=8),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_what_is_done_never_falls_and_ends_at_all(
    seconds: list[float], fractions: list[float]
) -> None:
    job, now, shares = Remaining({str(k): value for k, value in enumerate(seconds)}), 0.0, [0.0]
    for k in range(len(seconds)):
        for fraction in [0.0, *fractions, 1.0]:
            now += 1
            left = job.tell(str(k), fraction, now)
            assert left is None or left >= 0
            shares.append(job.share)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
