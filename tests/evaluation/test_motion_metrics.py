from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_faces import made_up_face, moved

from perse_live.detect import Detection
from perse_live.evaluation import motion_metrics as motion
from perse_live.evaluation.regions import EYE_CONTOURS, LIP_CONTOURS, face_regions, scaled_hull
from perse_live.head import landmarks as lm

FACE = made_up_face()
EYE_DISTANCE = float(np.linalg.norm(FACE.landmarks[33] - FACE.landmarks[263]))


def test_the_contours_are_mediapipe_s() -> None:
    from mediapipe.tasks.python.vision import FaceLandmarksConnections as Theirs

    def points(*names: str) -> set[int]:
        return {
            i
            for name in names
            for c in getattr(Theirs, f"FACE_LANDMARKS_{name}")
            for i in (c.start, c.end)
        }

    assert set(LIP_CONTOURS) == points("LIPS")
    assert set(EYE_CONTOURS) == points("LEFT_EYE", "RIGHT_EYE", "LEFT_IRIS", "RIGHT_IRIS")
    assert set(lm.FACE_OVAL) == points("FACE_OVAL")
    assert set(lm.LEFT_EYE) == points("LEFT_EYE") and set(lm.RIGHT_EYE) == points("RIGHT_EYE")


def test_a_hull_is_enlarged_about_its_centroid() -> None:
    square = np.array([[20.0, 20], [60, 20], [60, 60], [20, 60]])
    for scale in (1.0, 1.5):
        mask = scaled_hull(square, scale, 100, 100)
        rows, columns = np.nonzero(mask)
        assert mask.sum() == pytest.approx((40 * scale) ** 2, rel=0.06)
        assert (rows.mean(), columns.mean()) == pytest.approx((40, 40), abs=0.6)


def test_mouth_and_eyes_lie_in_the_face() -> None:
    regions = face_regions(FACE.landmarks, 512, 512)
    for part in (regions.mouth, regions.eyes):
        assert part.any() and not (part & ~regions.face).any()
    assert not (regions.mouth & regions.eyes).any()


def test_the_same_landmarks_have_no_error() -> None:
    errors = motion.landmark_errors(FACE, FACE)
    assert [*vars(errors).values()] == pytest.approx([0] * 5, abs=1e-9)
    assert motion.turn_error(FACE, FACE) == pytest.approx(0, abs=0.1)


def test_a_shift_is_an_error_of_place_but_not_of_expression() -> None:
    errors = motion.landmark_errors(FACE, moved(FACE, np.array([3.0, 4.0])))
    assert errors.everywhere == pytest.approx(500 / EYE_DISTANCE, rel=1e-4)
    assert [errors.mouth, errors.eyes, errors.outline] == pytest.approx(
        [errors.everywhere] * 3, rel=1e-4
    )
    assert errors.expression == pytest.approx(0, abs=1e-4)


def test_a_larger_and_tilted_face_has_the_same_expression() -> None:
    turn = 1.1 * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    other = moved(FACE, FACE.landmarks[:, :2] @ turn.T - FACE.landmarks[:, :2])
    errors = motion.landmark_errors(FACE, other)
    assert errors.everywhere > 5
    assert errors.expression == pytest.approx(0, abs=1e-3)


def test_an_open_mouth_is_an_error_of_mouth_and_expression() -> None:
    offsets = np.zeros((478, 2))
    offsets[list(lm.INNER_LIP_LOWER), 1] = 10
    errors = motion.landmark_errors(FACE, moved(FACE, offsets))
    assert errors.mouth == pytest.approx(100 * 10 * 9 / 40 / EYE_DISTANCE, rel=1e-3)
    assert errors.eyes == 0
    assert errors.everywhere == pytest.approx(100 * 10 * 9 / 478 / EYE_DISTANCE, rel=1e-3)
    assert errors.expression > 0.1


def test_the_eye_distance_does_not_shrink_with_a_turned_head() -> None:
    turned = made_up_face(yaw=40)
    error = motion.landmark_errors(turned, moved(turned, np.array([5.0, 0]))).everywhere
    assert error == pytest.approx(500 / EYE_DISTANCE, rel=0.15)


@pytest.mark.parametrize("degrees", [1, 10, 60])
def test_a_turn_is_measured_in_degrees(degrees: float) -> None:
    assert motion.turn_error(FACE, made_up_face(yaw=degrees)) == pytest.approx(degrees, abs=0.05)


def films(drawn: np.ndarray, real: np.ndarray) -> list[tuple[Detection, Detection]]:
    """Faces whose jawOpen goes as given."""

    def with_jaw(value: float) -> Detection:
        scores = np.zeros(52, np.float32)
        scores[24] = value
        return replace(FACE, blendshapes=scores)

    return [(with_jaw(a), with_jaw(b)) for a, b in zip(real, drawn, strict=True)]


def test_scores_that_go_along_correlate_however_strong() -> None:
    wave = 0.4 + 0.3 * np.sin(np.arange(50) / 4)
    assert motion.score_correlation(films(wave, wave)) == pytest.approx(1, abs=1e-5)
    assert motion.score_correlation(films(0.3 * wave + 0.1, wave)) == pytest.approx(1, abs=1e-5)
    assert motion.score_correlation(films(1 - wave, wave)) == pytest.approx(-1, abs=1e-5)
    assert motion.score_correlation(films(np.full(50, 0.4), wave)) == 0
    # Nothing moves: nothing to follow
    assert np.isnan(motion.score_correlation(films(wave, np.full(50, 0.4))))
    assert np.isnan(motion.score_correlation([]))


def shaken(amount: float, *, seed: int) -> list[Detection | None]:
    steps = np.random.default_rng(seed).normal(0, amount, (40, 2))
    return [moved(FACE, step) for step in steps]


def test_jitter_is_1_for_the_same_liveliness_and_0_for_a_still_picture() -> None:
    real, still = shaken(2, seed=0), [FACE] * 40
    numbers = range(40)
    assert motion.liveliness(real, real, numbers) == (pytest.approx(1), 0)
    assert motion.liveliness(real, still, numbers) == (0, pytest.approx(1))
    jitter, error = motion.liveliness(real, shaken(2, seed=1), numbers)
    assert jitter == pytest.approx(1, abs=0.3) and error > 1.1  # as lively, but not in step
    assert motion.liveliness(real, shaken(4, seed=1), numbers)[0] == pytest.approx(2, abs=0.6)


def test_a_shift_that_stays_is_no_jitter() -> None:
    real = shaken(2, seed=0)
    shifted = [moved(face, np.array([20.0, 0])) for face in real if face is not None]
    jitter, error = motion.liveliness(real, shifted, range(40))
    assert (jitter, error) == (pytest.approx(1, abs=1e-3), pytest.approx(0, abs=1e-3))


def test_frames_that_do_not_follow_each_other_do_not_count() -> None:
    real = shaken(2, seed=0)
    gap = [*range(20), *range(30, 50)]
    jumped = [moved(FACE, np.array([100.0, 0])) if k == 20 else face for k, face in enumerate(real)]
    assert np.isfinite(motion.liveliness(real, jumped, gap)).all()
    assert np.isnan(motion.liveliness([real[0], None, real[1]], real[:3], range(3))).all()
