from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perse_live.errors import UserError
from perse_live.head.expressions import (
    EXPRESSION_NAMES,
    consistent_actions,
    expression,
    from_scores,
    index,
    indices,
)


def test_there_are_52_different_names() -> None:
    assert len(EXPRESSION_NAMES) == len(set(EXPRESSION_NAMES)) == 52


def test_index_is_the_position_of_the_name() -> None:
    assert [index(name) for name in EXPRESSION_NAMES] == list(range(52))
    assert indices(["tongueOut", "browDownLeft"]) == [51, 0]


def test_an_unknown_name_is_a_user_error() -> None:
    with pytest.raises(UserError, match="jawOpenn"):
        index("jawOpenn")
    with pytest.raises(UserError):
        expression(smile=1.0)


def test_scores_are_mapped_by_name_whatever_their_order() -> None:
    scores = {
        "_neutral": 0.9,
        **{name: i / 100 for i, name in reversed(list(enumerate(EXPRESSION_NAMES[:-1])))},
    }
    np.testing.assert_allclose(from_scores(scores), [*(i / 100 for i in range(51)), 0], atol=1e-7)


def test_names_that_the_detector_lacks_are_zero() -> None:
    vector = from_scores({"jawOpen": 0.5})
    assert vector[index("jawOpen")] == 0.5
    assert vector.sum() == 0.5


_SHARE = st.floats(0, 1, width=32)


@given(_SHARE, _SHARE, _SHARE, _SHARE)
def test_a_shut_lid_is_not_lowered_further_and_closed_lips_need_an_open_jaw(
    blink: float, down: float, jaw: float, close: float
) -> None:
    given_ = expression(eyeBlinkLeft=blink, eyeLookDownLeft=down, jawOpen=jaw, mouthClose=close)
    made = consistent_actions(given_)
    lowered = made[index("eyeLookDownLeft")]
    assert 0 <= lowered <= down
    assert blink < 1 or lowered == 0
    assert blink > 0.6 or lowered == np.float32(down)
    assert made[index("mouthClose")] == min(close, jaw)
    others = [index("eyeBlinkLeft"), index("jawOpen"), index("eyeLookDownRight")]
    np.testing.assert_array_equal(made[others], given_[others])
    assert given_[index("eyeLookDownLeft")] == np.float32(down)  # the argument stays
