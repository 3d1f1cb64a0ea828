"""The mouth at rest, from fits of photos that show it smiling, or closed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.rig.neutral_expression import at_rest, relaxation, smile_of, with_closing_lids
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.arrays import Float32Array
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression
from perse_live.head.fit import FrameFit, PhotoFit
from perse_live.head.landmarks import face_shape, load_landmark_model
from perse_live.head.residual import spread_matrix
from perse_live.head.rig import HeadRig, expressed

_SMILE = expression(
    mouthSmileLeft=0.8,
    mouthSmileRight=0.7,
    mouthUpperUpLeft=0.7,
    mouthUpperUpRight=0.7,
    jawOpen=0.3,
)


def _fit(actions: Float32Array, residual: Float32Array | None = None) -> PhotoFit:
    none = np.zeros((lm.LANDMARK_COUNT, 3), np.float32)
    frame = FrameFit(
        np.eye(3, dtype=np.float32),
        np.array([0, 0, 0.6], np.float32),
        actions,
        np.zeros((2, 2), np.float32),
        none if residual is None else residual,
        none[:, :2],
        0.0,
    )
    return PhotoFit(frame, np.zeros(0, np.float32), face_shape(load_landmark_model(), np.zeros(0)))


def _lip_heights(points: Float32Array) -> tuple[float, float]:
    """Of the upper and the lower lip at its middle, over the mouth's width."""
    seam = (points[13, 1] + points[14, 1]) / 2
    width = np.linalg.norm(points[lm.OUTER_LIP_CORNERS[0]] - points[lm.OUTER_LIP_CORNERS[1]])
    return float((points[0, 1] - seam) / width), float((seam - points[17, 1]) / width)


def test_a_smiling_photo_s_lips_are_no_thicker_at_rest_than_closed_lips_are() -> None:
    neutral = load_landmark_model().neutral
    before, after = _lip_heights(neutral), _lip_heights(neutral + relaxation(_fit(_SMILE)).offsets)
    assert before[0] > 0.16
    assert before[1] > 0.2
    np.testing.assert_allclose(after, (0.15, 0.18), atol=0.002)


def test_a_smile_s_residual_is_the_smile_s_not_the_person_s() -> None:
    corners = list(lm.OUTER_LIP_CORNERS)
    residual = np.zeros((lm.LANDMARK_COUNT, 3), np.float32)
    residual[corners, 1] = 0.002
    forgotten = (
        relaxation(_fit(_SMILE, residual)).offsets[corners, 1]
        - relaxation(_fit(_SMILE)).offsets[corners, 1]
    )
    np.testing.assert_allclose(forgotten, -0.0016, atol=0.0003)


def test_a_photo_at_rest_is_believed() -> None:
    residual = np.full((lm.LANDMARK_COUNT, 3), 0.001, np.float32)
    relaxed = relaxation(_fit(expression(mouthPressLeft=0.4, browDownLeft=0.5), residual))
    assert not relaxed.offsets.any()
    assert not relaxed.shares.any()


def test_offsets_keep_to_the_mouth() -> None:
    relaxed = relaxation(_fit(_SMILE, np.full((lm.LANDMARK_COUNT, 3), 0.002, np.float32)))
    elsewhere = [*lm.LEFT_EYE, *lm.RIGHT_EYE, *lm.IRIS, *lm.LEFT_BROW, *lm.RIGHT_BROW]
    assert np.abs(relaxed.offsets[elsewhere]).max() < 1e-4


@pytest.mark.parametrize(
    ("actions", "least", "most"),
    [(expression(), 0, 0), (expression(jawOpen=1), 0, 0), (_SMILE, 1, 1)],
)
def test_folds_belong_to_smiles(actions: Float32Array, least: float, most: float) -> None:
    assert least <= smile_of(actions) <= most


@pytest.mark.slow
def test_under_the_photo_s_expression_nothing_changes(mean_head: PhotoGeometry) -> None:
    relaxed = relaxation(_fit(_SMILE, np.full((lm.LANDMARK_COUNT, 3), 0.001, np.float32)))
    ids, spread = spread_matrix(mean_head.rig, load_landmark_model())
    rig = at_rest(mean_head.rig, relaxed, ids, spread)
    np.testing.assert_allclose(expressed(rig, _SMILE), expressed(mean_head.rig, _SMILE), atol=1e-6)
    moved = np.abs(rig.vertices - mean_head.rig.vertices)
    assert moved.max() > 0.001
    np.testing.assert_allclose(relaxed.under(_SMILE), 0, atol=1e-7)


@pytest.mark.slow
def test_blinks_close_eyes_that_are_wider_than_the_rig_s(mean_head: PhotoGeometry) -> None:
    model = load_landmark_model()
    residual = np.zeros((lm.LANDMARK_COUNT, 3), np.float32)
    residual[[161, 160, 159, 158, 157, 388, 387, 386, 385, 384], 1] = 0.004
    photo = expression(eyeBlinkLeft=0.2, eyeBlinkRight=0.2)
    ids, spread = spread_matrix(mean_head.rig, model)
    wide = replace(mean_head.rig, vertices=mean_head.rig.vertices.copy())
    wide.vertices[ids] += spread.astype(np.float32) @ residual
    rig = with_closing_lids(wide, _fit(photo, residual), model, ids, spread)

    def gap(head: HeadRig, actions: Float32Array) -> float:
        points = lm.mesh_landmarks(model, expressed(head, actions))
        return float((points[[159, 386], 1] - points[[145, 374], 1]).mean())

    blink = expression(eyeBlinkLeft=1, eyeBlinkRight=1)
    usual = gap(mean_head.rig, blink)
    assert gap(wide, blink) > usual + 0.002
    assert gap(rig, blink) < usual + 0.0015
    np.testing.assert_allclose(expressed(rig, photo), expressed(wide, photo), atol=1e-6)
