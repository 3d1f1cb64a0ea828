from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from motions import FACING, degrees_between, turned

from perse_live.arrays import Float32Array
from runtime.presence import Presence, at_rest, ease, mixed
from runtime.tracker import TrackedFrame

PLACE: Float32Array = np.array([0.1, 0.0, 0.8], np.float32)


def test_rest_faces_the_camera_and_does_nothing() -> None:
    rest = at_rest(PLACE)
    np.testing.assert_array_equal(rest.R_cam_head, FACING)
    np.testing.assert_array_equal(rest.t_cam_head, PLACE)
    assert rest.expression.shape == (52,) and not rest.expression.any()
    assert rest.residual.shape == (478, 3) and not rest.residual.any()
    assert not rest.gaze.any()
    assert rest.confidence == 1.0


@given(st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 1))
def test_a_mixture_lies_between(first: float, second: float, share: float) -> None:
    a, b = turned(first, strength=0.2, shift=0.01), turned(second, strength=0.8, shift=-0.03)
    between = mixed(a, b, share)
    np.testing.assert_allclose(between.expression, 0.2 + 0.6 * share, atol=1e-5)
    np.testing.assert_allclose(between.t_cam_head, 0.01 - 0.04 * share, atol=1e-6)
    np.testing.assert_allclose(between.R_cam_head @ between.R_cam_head.T, np.eye(3), atol=1e-5)
    assert degrees_between(between, turned(first + share * (second - first))) < 0.1


def test_the_ends_of_a_mixture_are_what_is_mixed() -> None:
    a, b = turned(10, strength=0.3), turned(-20, strength=0.6)
    assert mixed(a, b, 1) is b
    start = mixed(a, b, 0)
    for field in fields(TrackedFrame):
        if field.name not in ("timestamp", "confidence"):
            np.testing.assert_allclose(
                getattr(start, field.name), getattr(a, field.name), atol=1e-6
            )


def test_beyond_the_second_motion_goes_on_as_before_within_what_faces_can_do() -> None:
    a, b = turned(0, strength=0.4), turned(10, strength=0.9)
    ahead = mixed(a, b, 1.8)
    assert degrees_between(ahead, turned(18)) < 0.1
    assert ahead.expression.max() == 1.0


def test_holding_is_the_half_second_after_a_face_was_lost() -> None:
    presence = Presence(lambda _, __: at_rest(PLACE))
    presence.update(None, 0.0)
    assert not presence.ever
    assert not presence.holding(0.1), "nobody was there yet"
    presence.update(turned(0), 1.0)
    assert not presence.holding(1.0)
    presence.update(None, 2.0)
    assert presence.holding(2.0) and presence.holding(2.49)
    assert not presence.holding(2.51)
    presence.update(turned(0), 2.6)
    assert not presence.holding(2.6)


@given(st.floats(-1, 2), st.floats(-1, 2))
def test_easing_is_monotonic_and_ends_in_0_and_1(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= ease(low) <= ease(high) <= 1
    assert ease(0) == 0 and ease(1) == 1
    assert ease(a) + ease(1 - a) == pytest.approx(1)
