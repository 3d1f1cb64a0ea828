from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import CAMERA, FACING_CAMERA, random_identity, seen

from hypothesis_profiles import examples
from perse_live.detect import Detection
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression, index
from perse_live.head.landmarks import face_shape, load_landmark_model
from perse_live.head.lids import lid_opening, without_coupling
from perse_live.rotations import from_euler_degrees
from runtime.tracker import KnownFaceTracker, RestPose, StrangerTracker, calibrate

MODEL = load_landmark_model()
PERSON = face_shape(MODEL, random_identity(np.random.default_rng(4)))
PLACE = np.array([0.03, 0.02, 0.8])
LIDS = ((lm.UPPER_LID_LEFT, lm.LOWER_LID_LEFT), (lm.UPPER_LID_RIGHT, lm.LOWER_LID_RIGHT))
BLINKS = [index("eyeBlinkLeft"), index("eyeBlinkRight")]
Turn = tuple[float, float, float]


def face(
    left: float = 1.0,
    right: float = 1.0,
    *,
    scores: tuple[float, float] = (0.02, 0.02),
    turn: Turn = (0, 0, 0),
) -> Detection:
    """What the detector says of a person whose lids are open by shares of their height at rest, with these blink scores."""
    found = seen(MODEL, PERSON, expression(), FACING_CAMERA @ from_euler_degrees(*turn), PLACE)
    landmarks, blendshapes = found.landmarks.copy(), found.blendshapes.copy()
    for (upper, lower), share in zip(LIDS, (left, right), strict=True):
        edge = landmarks[list(lower)]
        landmarks[list(upper)] = edge + (landmarks[list(upper)] - edge) * share
    blendshapes[BLINKS] = scores
    return replace(found, landmarks=landmarks, blendshapes=blendshapes)


# As MediaPipe sees the left eye shut and the right one open
WINK = face(0.27, 0.76, scores=(0.5, 0.1))
OTHER_WINK = face(0.76, 0.27, scores=(0.1, 0.5))


@examples(20)
@given(
    st.floats(-30, 30),
    st.floats(-15, 15),
    st.floats(-30, 30),
    st.floats(0.05, 1.3),
    st.floats(0.05, 1.3),
)
def test_the_opening_is_measured_in_any_pose(
    yaw: float, pitch: float, roll: float, left: float, right: float
) -> None:
    found = face(left, right, turn=(yaw, pitch, roll))
    rotation = FACING_CAMERA @ from_euler_degrees(yaw, pitch, roll)
    opening = lid_opening(found.landmarks, rotation, PLACE, CAMERA, PERSON.neutral_landmarks)
    np.testing.assert_allclose(opening, [left, right], atol=0.01)


@given(st.floats(0.05, 1.2), st.floats(-0.1, 0.1))
def test_eyes_that_do_the_same_are_left_alone(opening: float, apart: float) -> None:
    found = face(opening, opening)
    same = np.array([max(opening, 0.06), max(opening + apart, 0.06)])
    assert without_coupling(found, same, np.ones(2), FACING_CAMERA) is found


def test_a_turned_head_is_left_alone() -> None:
    turned = FACING_CAMERA @ from_euler_degrees(40, 0, 0)
    assert without_coupling(WINK, np.array([0.27, 0.76]), np.ones(2), turned) is WINK


def test_lid_openings_are_relative_to_the_persons_open_eyes() -> None:
    droop = np.array([0.35, 0.9])  # of somebody whose left lid hangs
    assert without_coupling(WINK, droop, droop, FACING_CAMERA) is WINK
    assert without_coupling(WINK, droop, np.ones(2), FACING_CAMERA) is not WINK


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_wink_only_ever_closes_one_eye_and_leaves_the_other(left: float, right: float) -> None:
    found = face(left, right, scores=(0.3, 0.3))
    apart = without_coupling(found, np.array([left, right]), np.ones(2), FACING_CAMERA)
    after = lid_opening(apart.landmarks, FACING_CAMERA, PLACE, CAMERA, PERSON.neutral_landmarks)
    shut, other = (0, 1) if left < right else (1, 0)
    assert after[shut] <= (left, right)[shut] + 0.01
    assert after[other] == pytest.approx((left, right)[other], abs=0.01)
    assert apart.blendshapes[BLINKS[shut]] >= np.float32(0.3) == apart.blendshapes[BLINKS[other]]


@pytest.mark.parametrize(("wink", "shut"), [(WINK, 0), (OTHER_WINK, 1)])
@pytest.mark.parametrize("own", [True, False])
def test_a_wink_is_one_eye(wink: Detection, shut: int, own: bool) -> None:
    resting = face()
    if own:
        tracker: KnownFaceTracker | StrangerTracker = KnownFaceTracker(PERSON, MODEL)
    else:
        rest = RestPose(FACING_CAMERA.astype(np.float32), np.array([0, 0, 0.7], np.float32))
        tracker = StrangerTracker(rest, MODEL, calibration=calibrate([resting] * 20, MODEL))
    for step in range(5):
        tracker.update(resting, step / 25)
    for step in range(5, 8):
        frame = tracker.update(wink, step / 25)
        assert frame is not None
        assert frame.expression[BLINKS[shut]] > 0.7
        assert frame.expression[BLINKS[1 - shut]] < 0.15
        upper, lower = (list(edge)[1:6] for edge in LIDS[shut])
        # By landmarks that say it is a quarter open
        reopened = (frame.residual[upper] - frame.residual[lower])[:, 1].mean()
        assert reopened < 0.0012
    after = tracker.update(resting, 1.0)
    assert after is not None
    assert after.expression[BLINKS].max() < 0.06
