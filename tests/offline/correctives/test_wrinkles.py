"""Lines of the skin are valleys in the photo's light."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.correctives.wrinkles import Valley, shade
from offline.texture.light import Light

_FROM_ABOVE = Light(
    np.array([[0, 0.8, 0, 0, 0, 0, 0, 0, 0]]).T.repeat(3, 1), np.full(3, -2.0), np.full(3, 2.0)
)
_LEVEL = Valley(np.array([[-0.02, 0.0, 0.0], [0.02, 0.0, 0.0]]), 0.0014, 0.3)


def _at(*heights: float) -> tuple[np.ndarray, np.ndarray]:
    places = np.array([[0.0, y, 0.0] for y in heights])
    return places, np.tile([0.0, 0.0, 1.0], (len(places), 1))


def test_a_level_line_under_a_lamp_is_dark_above_and_lit_below() -> None:
    above, floor, below, away = shade(
        [_LEVEL], *_at(0.0014, 0.0, -0.0014, 0.02), _FROM_ABOVE, 1.0
    ).mean(1)
    assert above < below  # its upper slope looks down
    assert floor < below
    assert floor < 0.9
    assert away == pytest.approx(1)


@given(st.floats(0.1, 1.5))
def test_a_deeper_line_is_darker(deep: float) -> None:
    floor = shade([_LEVEL], *_at(0.0), _FROM_ABOVE, deep).mean()
    assert shade([_LEVEL], *_at(0.0), _FROM_ABOVE, 1.2 * deep).mean() < floor < 1
    np.testing.assert_array_equal(shade([_LEVEL], *_at(0.0), _FROM_ABOVE, 0.0), 1)


def test_a_line_fades_towards_its_ends() -> None:
    places = np.array([[x, 0.0, 0.0] for x in (-0.02, -0.01, 0.02)])
    start, middle, end = shade(
        [_LEVEL], places, np.tile([0.0, 0.0, 1.0], (3, 1)), _FROM_ABOVE, 1.0
    ).mean(1)
    assert middle < 0.95
    assert start == pytest.approx(1)
    assert end == pytest.approx(1)
