from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offline.rig.skinning import head_weights

_ANYWHERE = st.tuples(st.floats(-0.3, 0.3), st.floats(-0.4, 0.2), st.floats(-0.25, 0.15))


@given(_ANYWHERE, st.floats(0, 0.05))
def test_the_higher_the_more_it_follows_the_head(
    point: tuple[float, float, float], higher: float
) -> None:
    lower, upper = np.array([point, np.add(point, (0, higher, 0))])
    low, high = head_weights(np.stack([lower, upper]))
    assert 0 <= low <= high + 1e-6
    assert high <= 1


def test_the_face_turns_and_the_shoulders_stay() -> None:
    face = np.array(
        [[0, 0, 0.03], [0, -0.1, 0.02], [0.06, 0.0, -0.05], [-0.06, 0.1, -0.1], [0, 0, -0.18]]
    )
    shoulders = np.array([[0.18, -0.2, -0.08], [-0.15, -0.24, -0.05], [0, -0.3, 0]])
    neck = np.array([[0, -0.17, -0.02]])
    np.testing.assert_array_equal(head_weights(face), 1)
    np.testing.assert_array_equal(head_weights(shoulders), 0)
    assert 0.05 < head_weights(neck)[0] < 0.95


def test_no_jump_anywhere() -> None:
    """Neighbours a millimetre apart never differ by more than a few percent, or skin would tear."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.3, -0.4, -0.25], [0.3, 0.2, 0.15], (20_000, 3))
    step = rng.normal(size=points.shape)
    step *= 1e-3 / np.linalg.norm(step, axis=1, keepdims=True)
    assert np.abs(head_weights(points + step) - head_weights(points)).max() < 0.06
