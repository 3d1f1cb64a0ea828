from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import FACING_CAMERA, degrees_apart, random_identity, seen
from skimage.data import astronaut

from perse_live.arrays import Float32Array
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.errors import UserError
from perse_live.follow import FaceFollower
from perse_live.head.expressions import expression, index
from perse_live.head.fit import fit_photo, personal_shape
from perse_live.head.landmarks import FaceShape, face_shape, load_landmark_model
from perse_live.rotations import from_euler_degrees
from runtime.smoothing import OneEuroConfig
from runtime.tracker import (
    KnownFaceTracker,
    RestPose,
    StrangerTracker,
    TrackerConfig,
    calibrate,
    full_gaze,
)

MODEL = load_landmark_model()
PERSON = face_shape(MODEL, random_identity(np.random.default_rng(4)))
PLACE = np.array([0.03, 0.02, 0.8])
REST = RestPose(FACING_CAMERA.astype(np.float32), np.array([0, 0, 0.7], np.float32))
# What this person looks like at rest
RESTING_FACE = expression(mouthSmileLeft=0.25, mouthSmileRight=0.25, browInnerUp=0.2)


def _at(
    turn: tuple[float, float, float] = (0, 0, 0),
    doing: Float32Array = RESTING_FACE,
    *,
    place: np.ndarray = PLACE,
    shape: FaceShape = PERSON,
) -> Detection:
    return seen(MODEL, shape, doing, FACING_CAMERA @ from_euler_degrees(*turn), place)


def _calibrated() -> StrangerTracker:
    tracker = StrangerTracker(REST, MODEL)
    for i in range(30):
        tracker.update(_at((np.sin(i) * 4, np.cos(i) * 3, 0)), i / 30)
    assert tracker.calibration is not None
    return tracker


def test_the_avatars_subject_is_tracked_as_in_the_picture() -> None:
    tracker = KnownFaceTracker(PERSON, MODEL)
    for i in range(6):
        doing = expression(jawOpen=0.1 * i, mouthSmileLeft=0.3)
        frame = tracker.update(_at((4 * i, 2, -3), doing), i / 30)
        assert frame is not None
        assert (
            degrees_apart(frame.R_cam_head, FACING_CAMERA @ from_euler_degrees(4 * i, 2, -3)) < 0.5
        )
        np.testing.assert_allclose(frame.t_cam_head, PLACE, atol=0.004)
        np.testing.assert_allclose(frame.expression, doing, atol=0.05)
        assert frame.timestamp == i / 30
        assert frame.confidence > 0.9


def test_no_face_is_none_and_never_the_last_result() -> None:
    for tracker in (KnownFaceTracker(PERSON, MODEL), _calibrated()):
        assert tracker.update(_at(), 2.0) is not None
        assert tracker.update(None, 2.1) is None
        assert tracker.update(None, 2.2) is None
        back = tracker.update(_at((10, 0, 0)), 2.3)
        assert back is not None
        assert back.timestamp == 2.3


def test_landmarks_of_no_face_are_no_face() -> None:
    broken = replace(_at(), landmarks=np.zeros((478, 3), np.float32))
    assert KnownFaceTracker(PERSON, MODEL).update(broken, 0.0) is None


def test_a_jump_across_the_picture_is_followed_at_once() -> None:
    tracker = KnownFaceTracker(PERSON, MODEL)
    tracker.update(_at((-30, 0, 20), place=np.array([-0.15, 0.1, 1.2])), 0.0)
    frame = tracker.update(_at((30, 10, -20), place=np.array([0.1, -0.1, 0.5])), 1.0)
    assert frame is not None
    assert degrees_apart(frame.R_cam_head, FACING_CAMERA @ from_euler_degrees(30, 10, -20)) < 1


def test_gaze_is_kept_while_the_eyes_are_shut() -> None:
    tracker = KnownFaceTracker(PERSON, MODEL)
    left = np.array([[0.3, 0.0], [0.3, 0.0]])
    open_eyes = seen(MODEL, PERSON, expression(), FACING_CAMERA, PLACE, gaze=left)
    tracker.update(open_eyes, 0.0)
    shut = seen(
        MODEL,
        PERSON,
        expression(eyeBlinkLeft=1.0, eyeBlinkRight=1.0),
        FACING_CAMERA,
        PLACE,
        gaze=-left,
    )
    frame = tracker.update(shut, 0.03)
    assert frame is not None
    np.testing.assert_allclose(frame.gaze, full_gaze(left), atol=0.05)


@given(st.floats(-0.5, 0.5), st.floats(-0.4, 0.4))
def test_glances_grow_and_noise_does_not(yaw: float, pitch: float) -> None:
    seen_gaze, size = np.array([[yaw, pitch], [0, 0]]), float(np.hypot(yaw, pitch))
    full = full_gaze(seen_gaze)
    assert full[1].max() == 0
    assert size - 1e-6 <= np.linalg.norm(full[0]) <= 1.2 * size + 1e-6
    if size < 0.05:
        np.testing.assert_allclose(full, seen_gaze, atol=1e-6)
    if size > 0.21:
        np.testing.assert_allclose(full, 1.2 * seen_gaze, rtol=1e-4, atol=1e-6)


def test_a_stranger_at_rest_leaves_the_avatar_at_rest() -> None:
    frame = _calibrated().update(_at(), 2.0)
    assert frame is not None
    assert frame.expression.max() < 0.08
    assert degrees_apart(frame.R_cam_head, REST.R_cam_head) < 5
    np.testing.assert_allclose(frame.t_cam_head, REST.t_cam_head, atol=0.01)
    np.testing.assert_allclose(frame.gaze, 0, atol=0.05)
    assert np.abs(frame.residual).max() < 0.001


def test_a_strangers_motion_is_carried_over() -> None:
    tracker = _calibrated()
    doing = np.clip(RESTING_FACE + expression(jawOpen=0.6), 0, 1)
    still = tracker.update(_at(), 2.0)
    frame = tracker.update(_at((15, -8, 5), doing, place=PLACE + np.array([0.02, 0, 0])), 2.03)
    assert still is not None and frame is not None
    assert frame.expression[index("jawOpen")] > 0.45
    assert frame.expression[index("mouthSmileLeft")] < 0.15
    assert degrees_apart(REST.R_cam_head @ from_euler_degrees(15, -8, 5), frame.R_cam_head) < 5
    assert (frame.t_cam_head - still.t_cam_head)[0] == pytest.approx(0.02, abs=0.006)


def test_motion_is_scaled_to_the_size_of_the_avatar() -> None:
    calibration = _calibrated().calibration
    shifts: list[float] = []
    for size in (0.045, 0.09):
        tracker = StrangerTracker(replace(REST, eye_distance=size), MODEL, calibration=calibration)
        frame = tracker.update(_at(place=PLACE + np.array([0.05, 0, 0])), 0.0)
        assert frame is not None
        shifts.append(float(frame.t_cam_head[0]))
    assert shifts[1] == pytest.approx(2 * shifts[0], rel=1e-3)


def test_the_first_frame_alone_decides_nothing() -> None:
    tracker = StrangerTracker(REST, MODEL)
    grimace = expression(jawOpen=0.9, mouthUpperUpLeft=0.8, mouthUpperUpRight=0.8)
    tracker.update(_at((12, 9, 0), grimace), 0.0)
    for i in range(1, 40):
        tracker.update(_at((np.sin(i) * 3, 0, 0)), i / 30)
    frame = tracker.update(_at(), 2.0)
    assert frame is not None
    assert frame.expression.max() < 0.1
    again = tracker.update(_at((12, 9, 0), grimace), 2.03)
    assert again is not None
    assert again.expression[index("jawOpen")] > 0.6


def test_turned_frames_do_not_calibrate_until_patience_ends() -> None:
    config = TrackerConfig(calibration_patience=25)
    tracker = StrangerTracker(REST, MODEL, config=config)
    for i in range(24):
        assert tracker.update(_at((30, 0, 0)), i / 30) is not None
        assert tracker.calibration is None
    tracker.update(_at((30, 0, 0)), 1.0)
    assert tracker.calibration is not None


def test_recalibration_learns_the_next_person() -> None:
    tracker = _calibrated()
    tracker.recalibrate()
    assert tracker.calibration is None
    other = face_shape(MODEL, random_identity(np.random.default_rng(9)))
    for i in range(30):
        tracker.update(
            _at((np.sin(i) * 4, 0, 0), expression(mouthFrownLeft=0.3), shape=other), 3 + i / 30
        )
    frame = tracker.update(_at(doing=expression(mouthFrownLeft=0.3), shape=other), 5.0)
    assert frame is not None
    assert frame.expression.max() < 0.1


def test_the_switch_to_the_calibration_is_no_jump() -> None:
    tracker = StrangerTracker(REST, MODEL)
    frames = [
        tracker.update(
            _at((np.sin(i / 5) * 4, 0, 0), np.clip(RESTING_FACE + expression(jawOpen=0.2), 0, 1)),
            i / 30,
        )
        for i in range(40)
    ]
    expressions = np.stack([frame.expression for frame in frames if frame is not None])
    assert np.abs(np.diff(expressions, axis=0)).max() < 0.1


def test_calibration_from_a_whole_film() -> None:
    detections = [_at((yaw, 0, 0)) for yaw in np.linspace(-40, 40, 41)]
    calibration = calibrate(detections, MODEL)
    assert degrees_apart(calibration.R_cam_head, FACING_CAMERA) < 6
    np.testing.assert_allclose(calibration.expression[index("browInnerUp")], 0.2, atol=0.1)
    with pytest.raises(UserError, match="neutral"):
        calibrate([], MODEL)


def test_smoothing_is_off_by_default_and_calms_when_on() -> None:
    rng = np.random.default_rng(0)
    noisy = []
    for _ in range(60):
        found = _at()
        noise = np.append(rng.normal(0, 1.0, (478, 2)), np.zeros((478, 1)), 1).astype(np.float32)
        noisy.append(replace(found, landmarks=found.landmarks + noise))
    spread: list[float] = []
    for smoothing in (None, OneEuroConfig()):
        tracker = KnownFaceTracker(PERSON, MODEL, config=TrackerConfig(smoothing=smoothing))
        frames = [tracker.update(found, i / 30) for i, found in enumerate(noisy)]
        places = np.stack([frame.t_cam_head for frame in frames if frame is not None])
        spread.append(float(places[20:].std(0).max()))
        rotations = np.stack([frame.R_cam_head for frame in frames if frame is not None])
        np.testing.assert_allclose(
            rotations @ rotations.transpose(0, 2, 1),
            np.broadcast_to(np.eye(3), (60, 3, 3)),
            atol=1e-4,
        )
    assert spread[1] < 0.7 * spread[0]


def test_the_astronaut_in_motion() -> None:
    picture = astronaut()
    camera = Camera.for_image(400, 400)
    with FaceFollower() as follower:
        first = follower.update(np.ascontiguousarray(picture[:400, 20:420]), 0.0)
        assert first is not None
        fit = fit_photo(first, camera, MODEL)
        tracker = KnownFaceTracker(personal_shape(fit), MODEL, camera=camera)
        for step in range(1, 6):
            # She moves left, 4 pixels a frame
            window = np.ascontiguousarray(picture[:400, 20 + 4 * step : 420 + 4 * step])
            frame = tracker.update(follower.update(window, step / 30), step / 30)
            assert frame is not None
            moved = camera.project(frame.t_cam_head) - camera.project(fit.t_cam_head)
            np.testing.assert_allclose(moved, [-4 * step, 0], atol=2.5)
            assert frame.confidence > 0.8
        assert follower.update(np.zeros((400, 400, 3), np.uint8), 1.0) is None
