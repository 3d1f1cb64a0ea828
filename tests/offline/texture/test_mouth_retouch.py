"""Folds and lips' edges, on a painted face whose landmarks are the average head's."""

from __future__ import annotations

import cv2
import numpy as np

from offline.images import dilate, polygon
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import mouth_opening
from offline.texture.folds import fold_strengths, without_folds, wrinkle_depth
from offline.texture.mouth_retouch import clean_lips
from perse_live.arrays import BoolArray, Float32Array, Float64Array
from perse_live.camera import Camera
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression
from perse_live.head.landmarks import load_landmark_model

_SKIN, _LIP, _TOOTH = (
    np.array([0.8, 0.6, 0.5]),
    np.array([0.7, 0.35, 0.35]),
    np.array([0.85, 0.82, 0.75]),
)
_SHAPE, _UNIT = (512, 512), 1.0


def _landmarks(**actions: float) -> Float64Array:
    model = load_landmark_model()
    points = model.neutral + np.tensordot(expression(**actions), model.actions, 1)
    camera = Camera(fx=1024, fy=1024, cx=256, cy=256, width=512, height=512)
    return camera.project(points * [1, -1, -1] + [0, -0.02, 0.75]).astype(np.float64)


def _outer_lips(landmarks: Float64Array) -> BoolArray:
    ring = (
        lm.OUTER_LIP_CORNERS[0],
        *lm.OUTER_LIP_UPPER,
        lm.OUTER_LIP_CORNERS[1],
        *reversed(lm.OUTER_LIP_LOWER),
    )
    return polygon(landmarks[list(ring)], _SHAPE)


def _painted(landmarks: Float64Array, spill: float) -> Float32Array:
    """Skin with lips, teeth between them, and teeth spilt over the lips' edges by so many pixels."""
    image = np.tile(_SKIN, (*_SHAPE, 1))
    image[_outer_lips(landmarks)] = _LIP
    opening = mouth_opening(landmarks, _SHAPE)
    image[dilate(opening, spill) if spill else opening] = _TOOTH
    return image.astype(np.float32)


def _look(image: Float32Array) -> Appearance:
    full = np.ones(_SHAPE, np.float32)
    nowhere = np.zeros(_SHAPE, np.bool_)
    return Appearance(image, full, full, full, 0 * full, 0 * full, image, nowhere, ~nowhere)


def test_folds_of_a_smile_fade_and_moles_elsewhere_stay() -> None:
    points = _landmarks(mouthSmileLeft=0.8, mouthSmileRight=0.8)
    image = _painted(points, 0)
    fold = np.zeros(_SHAPE, np.uint8)
    cv2.polylines(fold, [np.round(points[[203, 206, 216]]).astype(np.int32)], False, 1, 3)
    mole = np.zeros(_SHAPE, np.uint8)
    cv2.circle(mole, (int(points[151, 0]), int(points[151, 1])), 2, 1, -1)
    dark = (fold > 0) | (mole > 0)
    image[dark] *= 0.7
    faded = without_folds(image, ~_outer_lips(points), points, _UNIT, {"nasolabial": 1.0})
    clear = (fold > 0) & ~dilate(_outer_lips(points), 4)
    before, after = (float((_SKIN - shown[clear]).mean()) for shown in (image, faded))
    assert after < 0.55 * before
    np.testing.assert_allclose(faded[mole > 0], image[mole > 0], atol=0.01)
    np.testing.assert_array_equal(
        without_folds(image, ~_outer_lips(points), points, _UNIT, {"nasolabial": 0.0}), image
    )


def test_a_frown_s_furrows_fade_and_brows_stay() -> None:
    points = _landmarks(browDownLeft=0.8, browDownRight=0.8)
    image = _painted(points, 0)
    furrow, brow = np.zeros(_SHAPE, np.uint8), np.zeros(_SHAPE, np.uint8)
    cv2.polylines(furrow, [np.round(points[[9, 8]] + [4, 0]).astype(np.int32)], False, 1, 2)
    cv2.polylines(brow, [np.round(points[[70, 63, 105, 66, 107]]).astype(np.int32)], False, 1, 5)
    image[furrow > 0] *= 0.7
    image[brow > 0] *= 0.3
    strengths = fold_strengths(expression(browDownLeft=0.8, browDownRight=0.8))
    assert strengths == {"nasolabial": 0, "glabella": 1, "forehead": 0, "crow": 0}
    faded = without_folds(image, ~_outer_lips(points), points, _UNIT, strengths)
    clear = (furrow > 0) & ~dilate(brow > 0, 5)
    assert clear.sum() > 10
    assert float((_SKIN - faded[clear]).mean()) < 0.55 * float((_SKIN - image[clear]).mean())
    np.testing.assert_allclose(faded[brow > 0], image[brow > 0], atol=0.01)


def test_drawn_skin_gets_no_wrinkles_and_skin_with_pores_all_of_them() -> None:
    points = _landmarks()
    pores = np.random.default_rng(0).normal(0, 1, (*_SHAPE, 1))
    everywhere = np.ones(_SHAPE, np.bool_)

    def depth(strength: float) -> float:
        image = np.clip(_painted(points, 0) + strength * pores, 0, 1).astype(np.float32)
        return wrinkle_depth(image, everywhere, points, _UNIT)

    depths = [depth(strength) for strength in (0.0, 0.005, 0.01, 0.03)]
    assert depths[0] == 0 and depths[-1] == 1
    assert depths == sorted(depths)
    assert wrinkle_depth(_painted(points, 0), ~everywhere, points, _UNIT) == 1  # nothing is known


def test_lips_beside_an_open_mouth_get_their_own_colour() -> None:
    points = _landmarks(jawOpen=0.4)
    image = _painted(points, 2.0)
    cleaned = clean_lips(_look(image), points, _UNIT)
    opening = mouth_opening(points, _SHAPE)
    edge = dilate(opening, 2) & ~opening & _outer_lips(points)
    assert np.abs(image[edge] - _LIP).mean() > 0.2
    assert np.abs(cleaned.image[edge] - _LIP).mean() < 0.08
    np.testing.assert_array_equal(cleaned.image[opening], image[opening])
    assert cleaned.lip_edges is not None
    assert cleaned.lip_edges[edge].min() > 0.5


def test_nothing_is_believed_beside_an_open_mouth_s_corners() -> None:
    points = _landmarks(jawOpen=0.4)
    held = clean_lips(_look(_painted(points, 0)), points, _UNIT).lip_edges
    assert held is not None
    for corner, outwards in ((78, -1), (308, 1)):
        x, y = points[corner, :2]
        assert held[int(y), int(x + outwards * 4)] > 0.5
        assert held[int(y), int(x + outwards * 14)] < 0.05


def test_closed_lips_stay_as_the_photo_shows_them() -> None:
    points = _landmarks(mouthRollUpper=0.8, mouthRollLower=0.8)
    middle = (points[13] + points[14]) / 2
    points[[13, 14]] = middle
    look = _look(_painted(points, 0))
    assert clean_lips(look, points, _UNIT) is look
