from __future__ import annotations

from importlib.resources import files

import numpy as np

from perse_live.head import landmarks as lm
from perse_live.head.expressions import EXPRESSION_NAMES, index
from perse_live.head.landmarks import (
    face_shape,
    identity_eyes,
    identity_landmarks,
    load_landmark_model,
)


def test_the_shipped_table_is_small_and_complete() -> None:
    model = load_landmark_model()
    assert len((files("perse_live.head") / "landmark_model.npz").read_bytes()) < 700_000
    k = len(model.identity_basis)
    assert k >= 100
    assert model.vertex_ids.shape == model.barycentrics.shape == model.neutral.shape == (478, 3)
    assert model.actions.shape == (52, 478, 3)
    assert model.eye_center_basis.shape == (k, 2, 3)
    assert model.vertex_ids.min() >= 0
    assert model.vertex_ids.max() < model.vertex_count
    np.testing.assert_allclose(model.barycentrics.sum(1), 1, atol=1e-3)
    assert all(np.isfinite(array).all() for array in vars(model).values())


def test_the_mean_face_looks_like_a_face() -> None:
    model = load_landmark_model()
    x, y, z = model.neutral.T
    assert 0.08 < x[263] - x[33] < 0.11  # outer eye corners
    assert y[10] > y[168] > y[4] > y[13] > y[152]  # forehead, between the eyes, nose, lips, chin
    assert z.argmax() in (1, 4)  # the nose's tip
    np.testing.assert_allclose(model.eye_centers.mean(0), 0, atol=1e-4)  # the head frame's origin
    mirrored = model.neutral[list(lm.LEFT_EYE)] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, model.neutral[list(lm.RIGHT_EYE)], atol=2e-3)


def test_groups_name_each_landmark_once() -> None:
    for group in (
        lm.FACE_OVAL,
        lm.RIGHT_EYE,
        lm.LEFT_EYE,
        lm.IRIS,
        lm.RIGHT_BROW,
        lm.LEFT_BROW,
        lm.LIPS,
        lm.INNER_LIPS,
    ):
        assert len(set(group)) == len(group)
        assert min(group) >= 0
        assert max(group) < 478


def test_irises_lie_in_front_on_the_eyeballs() -> None:
    model = load_landmark_model()
    centers, radius = identity_eyes(model, np.zeros(3))
    for iris, center in zip((lm.LEFT_IRIS, lm.RIGHT_IRIS), centers, strict=True):
        offset = model.neutral[list(iris)] - center
        np.testing.assert_allclose(np.linalg.norm(offset, axis=1), radius, atol=1.5e-3)
        assert offset[0, 2] > 0.9 * radius


def test_jaw_open_moves_the_lower_lip_and_not_the_upper() -> None:
    drop = -load_landmark_model().actions[index("jawOpen"), :, 1]
    assert drop[list(lm.INNER_LIP_LOWER)].min() > 0.01
    assert drop[list(lm.INNER_LIP_UPPER)].max() < 0.01


def test_looking_left_moves_both_irises_to_plus_x() -> None:
    actions = load_landmark_model().actions
    assert actions[index("eyeLookOutLeft"), 473, 0] > 0.004
    assert actions[index("eyeLookInRight"), 468, 0] > 0.004
    still = [i for i, name in enumerate(EXPRESSION_NAMES) if not name.startswith("eyeLook")]
    assert np.abs(actions[still][:, list(lm.IRIS)]).max() == 0


def test_identity_is_linear() -> None:
    model = load_landmark_model()
    a, b = np.eye(5)[1], np.eye(5)[3]
    together = identity_landmarks(model, a + 2 * b) - model.neutral
    apart = identity_landmarks(model, a) + 2 * identity_landmarks(model, b) - 3 * model.neutral
    np.testing.assert_allclose(together, apart, atol=1e-6)
    np.testing.assert_array_equal(face_shape(model, np.zeros(0)).neutral_landmarks, model.neutral)


def test_lines_of_landmarks_have_mirror_images() -> None:
    for right, left in ((lm.RIGHT_BROW, lm.LEFT_BROW), (lm.FACE_SIDES[:1], lm.FACE_SIDES[1:])):
        assert lm.mirrored(right) == left
        assert lm.mirrored(left) == right
    assert lm.mirrored(lm.HAIRLINE) == lm.HAIRLINE[::-1]
