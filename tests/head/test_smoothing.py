from __future__ import annotations

import numpy as np
import pytest

from runtime.smoothing import OneEuroConfig, OneEuroFilter


def test_a_constant_passes_unchanged() -> None:
    smooth = OneEuroFilter(OneEuroConfig())
    assert [smooth(np.array([2.0, -1.0]), t / 30).tolist() for t in range(5)] == [[2.0, -1.0]] * 5


def test_slow_motion_comes_late_by_the_stated_delay() -> None:
    config = OneEuroConfig(cutoff_hz=1.0, speed_gain=0.0)
    smooth = OneEuroFilter(config)
    # One unit per second
    values = [smooth(np.array([step / 1000]), step / 1000) for step in range(3000)]
    assert 2.999 - float(values[-1][0]) == pytest.approx(config.delay_at_rest, rel=0.02)


def test_quick_motion_comes_less_late() -> None:
    calm, eager = (
        OneEuroFilter(OneEuroConfig(speed_gain=0.0)),
        OneEuroFilter(OneEuroConfig(speed_gain=8.0)),
    )
    lag = [
        (
            step / 10 - calm(np.array([step / 10]), step / 30)[0],
            step / 10 - eager(np.array([step / 10]), step / 30)[0],
        )
        for step in range(60)
    ]
    assert lag[-1][1] < lag[-1][0] / 4


def test_jitter_shrinks() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 300)
    smooth = OneEuroFilter(OneEuroConfig())
    out = [float(smooth(np.array([x]), i / 30)[0]) for i, x in enumerate(noise)]
    assert np.std(out[50:]) < 0.7 * np.std(noise[50:])


def test_time_that_stands_still_or_a_reset_passes_the_value_on() -> None:
    smooth = OneEuroFilter(OneEuroConfig())
    smooth(np.array([0.0]), 1.0)
    assert smooth(np.array([5.0]), 1.0)[0] == 5.0
    smooth.reset()
    assert smooth(np.array([9.0]), 1.1)[0] == 9.0
