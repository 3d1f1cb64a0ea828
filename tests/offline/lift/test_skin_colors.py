from __future__ import annotations

import numpy as np

from offline.lift.skin import continued, pulled_in


def test_skin_that_reaches_out_is_pulled_in_and_what_is_far_off_stays() -> None:
    inside = np.zeros((60, 60), np.bool_)
    inside[:, :30] = True
    pixels = np.array([[10.5, 30.5], [31.0, 30.5], [35.5, 30.5], [50.5, 30.5]])
    moved = pulled_in(pixels, inside, 2.0, 8.0)
    np.testing.assert_array_equal(moved[[0, 1, 3]], pixels[[0, 1, 3]])
    assert 30.0 < moved[2, 0] < 32.5
    assert moved[2, 1] == 30.5


def test_a_head_goes_on_above_the_photo_only_where_it_touches_the_edge() -> None:
    valid = np.zeros((8, 6), np.bool_)
    valid[3:] = True
    person = np.zeros_like(valid)
    person[3:, 1] = True
    person[5:, 4] = True
    on_head = continued(person, valid)
    assert on_head[:, 1].all()
    assert not on_head[:5, 4].any()
    np.testing.assert_array_equal(on_head[3:], person[3:])
