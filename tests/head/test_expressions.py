from __future__ import annotations

import numpy as np
import pytest

from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_NAMES, expression, from_scores, index, indices


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
