from __future__ import annotations

import numpy as np
import pytest
import slow_fit
from hypothesis import given
from hypothesis import strategies as st
from people import CAMERA, FACING_CAMERA, degrees_apart, random_identity, seen
from scipy.optimize import lsq_linear
from skimage.data import astronaut

from hypothesis_profiles import examples
from perse_live.arrays import Float32Array, FloatArray
from perse_live.camera import Camera
from perse_live.detect import Detection, detect_faces
from perse_live.errors import UserError
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression, index
from perse_live.head.fit import (
    FitConfig,
    expression_weights,
    fit_frame,
    fit_identity,
    fit_photo,
    frame_problem,
    gaze_from_iris,
    lift_residual,
    personal_shape,
    start_pose,
)
from perse_live.head.gauss_newton import bounded_step, linearise, normal_equations
from perse_live.head.landmarks import face_shape, load_landmark_model
from perse_live.rotations import from_axis_angle, from_euler_degrees

MODEL = load_landmark_model()
Pose = tuple[float, float, float, float, float, float]
POSES = st.tuples(
    st.floats(-35, 35),
    st.floats(-20, 20),
    st.floats(-25, 25),
    st.floats(-0.08, 0.08),
    st.floats(-0.08, 0.08),
    st.floats(0.5, 1.5),
)
PLACE = np.array([0.02, -0.01, 0.7])


def _pose(values: Pose) -> tuple[np.ndarray, np.ndarray]:
    yaw, pitch, roll, x, y, z = values
    return FACING_CAMERA @ from_euler_degrees(yaw, pitch, roll), np.array([x, y, z])


def _single(array: np.ndarray) -> Float32Array:
    return np.ascontiguousarray(array, np.float32)


def _reprojection(
    points: np.ndarray,
    rotation: np.ndarray,
    shift: np.ndarray,
    basis: np.ndarray,
    parameters: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Weighted projected-minus-target: parameters are a rotation vector, a translation, and the basis'."""
    moved = points + np.einsum("plc,p->lc", basis, parameters[6:])
    posed = moved @ (from_axis_angle(parameters[:3]) @ rotation).T + shift + parameters[3:6]
    return ((CAMERA.project(posed) - target) * weights[:, None]).reshape(-1)


@pytest.mark.slow
@examples(10)
@given(st.integers(0, 2**32 - 1), POSES)
def test_the_jacobian_is_the_derivative_of_the_projection(seed: int, pose: Pose) -> None:
    rng = np.random.default_rng(seed)
    rotation, shift = _pose(pose)
    points, basis = rng.normal(0, 0.06, (9, 3)), rng.normal(0, 0.01, (4, 9, 3))
    target, weights = rng.uniform(0, 512, (9, 2)), rng.uniform(0.1, 2, 9)
    jacobian, residual = _linearised(points, basis, rotation, shift, target, weights, 1e6)

    def at(parameters: np.ndarray) -> np.ndarray:
        return _reprojection(points, rotation, shift, basis, parameters, target, weights)

    step = 1e-5
    differences = np.stack(
        [(at(step * unit) - at(-step * unit)) / (2 * step) for unit in np.eye(10)], 1
    )
    np.testing.assert_allclose(
        jacobian, differences, rtol=2e-3, atol=2e-3 * np.abs(differences).max()
    )
    np.testing.assert_allclose(residual, -at(np.zeros(10)), rtol=1e-3, atol=1e-2)


def _linearised(
    points: np.ndarray,
    basis: np.ndarray,
    rotation: np.ndarray,
    shift: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray,
    robust_scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's Jacobian (2L, 6 + P) and residual (2L,), x and y of each landmark in turn."""
    count, unknowns = len(points), 6 + len(basis)
    jacobian, residual = (
        np.empty((unknowns, 2 * count), np.float32),
        np.empty(2 * count, np.float32),
    )
    intrinsics = np.array([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy])
    linearise(
        _single(points.T),
        _single(basis.transpose(2, 0, 1)),
        _single(rotation),
        _single(shift),
        _single(intrinsics),
        _single(target),
        _single(weights),
        robust_scale,
        jacobian,
        residual,
    )
    by_landmark = jacobian.reshape(unknowns, 2, count).transpose(2, 1, 0)
    return by_landmark.reshape(2 * count, unknowns), residual.reshape(2, count).T.ravel()


@examples(20)
@given(st.integers(0, 2**32 - 1), POSES, st.integers(1, 7), st.floats(0.5, 20))
def test_the_normal_equations_are_those_of_the_plain_jacobian(
    seed: int, pose: Pose, parameters: int, robust_scale: float
) -> None:
    rng = np.random.default_rng(seed)
    rotation, shift = _pose(pose)
    points, basis = rng.normal(0, 0.06, (478, 3)), rng.normal(0, 0.01, (parameters, 478, 3))
    target = CAMERA.project(points @ rotation.T + shift) + rng.normal(0, 3, (478, 2))
    weights = rng.uniform(0.1, 2, 478)
    errors, slow = slow_fit.linearised(
        points, basis, rotation, shift, CAMERA, target, weights, robust_scale
    )
    jacobian, residual = _linearised(points, basis, rotation, shift, target, weights, robust_scale)
    np.testing.assert_allclose(jacobian, slow, rtol=1e-3, atol=2e-3 * np.abs(slow).max())
    normal, gradient = np.empty((6 + parameters, 6 + parameters)), np.empty(6 + parameters)
    normal_equations(_single(slow.T), _single(errors), normal, gradient)
    np.testing.assert_allclose(
        normal, slow.T @ slow, rtol=1e-4, atol=1e-5 * np.abs(slow.T @ slow).max()
    )
    np.testing.assert_allclose(
        gradient,
        slow.T @ errors,
        rtol=1e-3,
        atol=1e-4 * np.linalg.norm(slow) * np.linalg.norm(errors),
    )
    np.testing.assert_allclose(residual, errors, rtol=1e-2, atol=1e-2)


@pytest.mark.slow
@examples(200)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.4]))
def test_the_bounded_step_is_the_bounded_optimum(seed: int, at_bound: float) -> None:
    rng = np.random.default_rng(seed)
    rows, target = rng.normal(0, 1, (30, 12)), rng.normal(0, 2, 30)
    rows[:, 5] += rows[:, 6]  # some correlation, as between actions
    low, high = -rng.uniform(0, 0.5, 9), rng.uniform(0, 0.5, 9)
    low[rng.random(9) < at_bound] = 0  # as of an action that is 0 already
    normal, gradient = rows.T @ rows, rows.T @ target
    step = bounded_step(normal, gradient, 3, low, high)
    assert (step[3:] >= low - 1e-9).all()
    assert (step[3:] <= high + 1e-9).all()
    free = np.full(3, np.inf)
    best = lsq_linear(rows, target, (np.append(-free, low - 1e-12), np.append(free, high + 1e-12)))
    assert 0.5 * np.sum((rows @ step - target) ** 2) <= best.cost * 1.001 + 1e-9
    np.testing.assert_allclose(
        step, slow_fit.bounded_step(normal, gradient, 3, low, high), atol=1e-8
    )


def test_a_matrix_that_is_not_positive_definite_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        bounded_step(np.diag([1.0, -1.0]), np.ones(2), 1, -np.ones(1), np.ones(1))


@examples(20)
@given(st.integers(0, 2**32 - 1), POSES)
def test_the_frame_fit_is_that_of_the_plain_algorithm(seed: int, pose: Pose) -> None:
    rng = np.random.default_rng(seed)
    shape = face_shape(MODEL, random_identity(rng))
    truth = np.where(rng.random(52) < 0.3, rng.uniform(0, 1, 52), 0).astype(np.float32)
    rotation, shift = _pose(pose)
    found = seen(MODEL, shape, truth, rotation, shift, scores=truth * rng.uniform(0.3, 1, 52))
    noisy = found.landmarks + np.append(rng.normal(0, 2, (478, 2)), np.zeros((478, 1)), 1).astype(
        np.float32
    )
    config = FitConfig()
    first = fit_frame(noisy, found.blendshapes, CAMERA, shape, MODEL, config=config)
    fast = fit_frame(noisy, found.blendshapes, CAMERA, shape, MODEL, start=first, config=config)
    problem = frame_problem(noisy, found.blendshapes, CAMERA, MODEL, config)
    turned, moved, strengths = slow_fit.fit(
        noisy[:, :2],
        problem.prior,
        CAMERA,
        shape.neutral_landmarks,
        MODEL.actions,
        problem.weights,
        expression_weights(config),
        config.robust_scale,
        (first.R_cam_head, first.t_cam_head, first.expression),
        3,
    )
    points = shape.neutral_landmarks + np.tensordot(strengths, MODEL.actions, 1)
    pixels = CAMERA.project(points @ turned.T + moved)
    assert np.abs(noisy[:, :2] - fast.residual_px - pixels).max() < 0.02
    np.testing.assert_allclose(fast.expression, strengths, atol=1e-3)


@examples(25)
@given(st.integers(0, 2**32 - 1), POSES)
def test_pose_and_expression_of_a_known_face_are_found_again(seed: int, pose: Pose) -> None:
    rng = np.random.default_rng(seed)
    shape = face_shape(MODEL, random_identity(rng))
    truth = np.where(rng.random(52) < 0.2, rng.uniform(0, 0.8, 52), 0).astype(np.float32)
    rotation, shift = _pose(pose)
    found = seen(MODEL, shape, truth, rotation, shift)
    fit = fit_frame(found.landmarks, found.blendshapes, CAMERA, shape, MODEL)
    assert degrees_apart(fit.R_cam_head, rotation) < 0.5
    np.testing.assert_allclose(fit.t_cam_head, shift, atol=0.004)
    np.testing.assert_allclose(fit.expression, truth, atol=0.05)
    assert fit.rms < 0.002


def test_the_jaw_opens_though_the_scores_say_little() -> None:
    shape = face_shape(MODEL, np.zeros(1))
    truth, said = expression(jawOpen=0.6), expression(jawOpen=0.15)
    found = seen(MODEL, shape, truth, FACING_CAMERA, PLACE, scores=said)
    fit = fit_frame(found.landmarks, found.blendshapes, CAMERA, shape, MODEL)
    assert fit.expression[index("jawOpen")] > 0.5


def test_the_blink_is_the_detectors() -> None:
    shape = face_shape(MODEL, np.zeros(1))
    found = seen(
        MODEL,
        shape,
        expression(),
        FACING_CAMERA,
        PLACE,
        scores=expression(eyeBlinkLeft=0.9, eyeBlinkRight=0.9),
    )
    fit = fit_frame(found.landmarks, found.blendshapes, CAMERA, shape, MODEL)
    assert fit.expression[index("eyeBlinkLeft")] > 0.8


def test_a_few_steps_from_the_last_frame_reach_the_same_fit() -> None:
    shape = face_shape(MODEL, random_identity(np.random.default_rng(3)))
    before = seen(MODEL, shape, expression(jawOpen=0.2), FACING_CAMERA, PLACE)
    start = fit_frame(before.landmarks, before.blendshapes, CAMERA, shape, MODEL)
    turned = FACING_CAMERA @ from_euler_degrees(6, 3, 2)
    now = seen(MODEL, shape, expression(jawOpen=0.5, mouthSmileLeft=0.4), turned, PLACE + 0.01)
    quick = fit_frame(now.landmarks, now.blendshapes, CAMERA, shape, MODEL, start=start)
    thorough = fit_frame(now.landmarks, now.blendshapes, CAMERA, shape, MODEL, iterations=30)
    np.testing.assert_allclose(quick.expression, thorough.expression, atol=0.02)
    assert degrees_apart(quick.R_cam_head, thorough.R_cam_head) < 0.1


@examples(25)
@given(POSES, st.floats(-0.5, 0.5), st.floats(-0.35, 0.35))
def test_gaze_is_read_off_the_irises(pose: Pose, yaw: float, pitch: float) -> None:
    shape = face_shape(MODEL, np.zeros(1))
    rotation, shift = _pose(pose)
    gaze = np.array([[yaw, pitch], [yaw * 0.8, pitch]])
    found = seen(MODEL, shape, expression(), rotation, shift, gaze=gaze)
    line_of_sight = (-shift / np.linalg.norm(shift)) @ rotation
    towards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    if towards @ line_of_sight > 0.35:  # an iris on the far side of the eyeball is not seen
        np.testing.assert_allclose(
            gaze_from_iris(found.landmarks, rotation, shift, CAMERA, shape), gaze, atol=0.03
        )


def test_the_residual_is_what_the_actions_cannot_do() -> None:
    shape = face_shape(MODEL, np.zeros(1))
    found = seen(MODEL, shape, expression(), FACING_CAMERA, PLACE)
    bent = found.landmarks.copy()
    bent[4, 0] += 6  # the nose's tip to the picture's right
    fit = fit_frame(bent, found.blendshapes, CAMERA, shape, MODEL)
    assert fit.residual[4, 0] == pytest.approx(
        6 * (PLACE[2] - shape.neutral_landmarks[4, 2]) / CAMERA.fx, rel=0.15
    )
    others = np.setdiff1d(np.arange(478), [4])
    assert np.abs(fit.residual[others]).max() < abs(fit.residual[4, 0]) / 2


def test_of_the_outline_only_what_lies_across_it_counts_and_less_as_the_head_turns() -> None:
    shape = face_shape(MODEL, np.zeros(1))
    chin, cheek = 152, 454
    offsets: dict[float, FloatArray] = {}
    for yaw in (0.0, 40.0):
        found = seen(
            MODEL, shape, expression(), FACING_CAMERA @ from_euler_degrees(yaw, 0, 0), PLACE
        )
        slid = found.landmarks.copy()
        slid[cheek, 1] += 5  # along the cheek
        slid[chin, 1] += 5  # out of the chin
        offsets[yaw] = np.linalg.norm(
            fit_frame(slid, found.blendshapes, CAMERA, shape, MODEL).residual, axis=1
        )
    pixel = PLACE[2] / CAMERA.fx
    assert offsets[0][cheek] < 1.6 * pixel
    assert offsets[0][chin] > 3.5 * pixel
    assert offsets[40][chin] < 0.5 * offsets[0][chin]


@examples(20)
@given(POSES, st.integers(0, 2**32 - 1))
def test_a_lifted_residual_moves_points_to_where_they_were_seen(pose: Pose, seed: int) -> None:
    rotation, shift = _pose(pose)
    error = np.random.default_rng(seed).normal(0, 4, (478, 2))
    posed = MODEL.neutral @ rotation.T + shift
    lifted = lift_residual(error, posed[:, 2], rotation, CAMERA)
    moved = (MODEL.neutral + lifted) @ rotation.T + shift
    np.testing.assert_allclose(CAMERA.project(moved), CAMERA.project(posed) + error, atol=0.02)
    short = lift_residual(error, posed[:, 2], rotation, CAMERA, limit=0.001)
    assert np.linalg.norm(short, axis=1).max() < 0.001 + 1e-6


def test_identity_of_a_made_up_person_explains_another_pose() -> None:
    rng = np.random.default_rng(11)
    shape = face_shape(MODEL, random_identity(rng))
    views = [
        seen(
            MODEL,
            shape,
            expression(mouthSmileLeft=0.3 * i),
            FACING_CAMERA @ from_euler_degrees(yaw, 4 * i, 0),
            PLACE,
        )
        for i, yaw in enumerate((-25, 0, 20))
    ]
    fits = fit_identity(views, CAMERA, MODEL)
    assert len(fits) == 3
    assert all(np.array_equal(fit.identity, fits[0].identity) for fit in fits)
    fresh = seen(
        MODEL, shape, expression(jawOpen=0.3), FACING_CAMERA @ from_euler_degrees(-12, -8, 5), PLACE
    )
    known = fit_frame(fresh.landmarks, fresh.blendshapes, CAMERA, fits[0].shape, MODEL)
    stranger = fit_frame(
        fresh.landmarks, fresh.blendshapes, CAMERA, face_shape(MODEL, np.zeros(1)), MODEL
    )
    assert known.rms < 0.006
    assert known.rms < stranger.rms / 3


def test_several_frames_find_the_shape_better_than_one() -> None:
    rng = np.random.default_rng(5)
    shape = face_shape(MODEL, random_identity(rng))
    views = []
    for yaw in (-30, -15, 0, 15, 30):
        found = seen(
            MODEL, shape, expression(), FACING_CAMERA @ from_euler_degrees(yaw, 0, 0), PLACE
        )
        noisy = found.landmarks + np.append(
            rng.normal(0, 1.5, (478, 2)), np.zeros((478, 1)), 1
        ).astype(np.float32)
        views.append(Detection(noisy, found.blendshapes, found.matrix, found.width, found.height))

    def error(fitted: list[Detection]) -> float:
        guess = fit_identity(fitted, CAMERA, MODEL)[0].shape.neutral_landmarks
        a, b = guess - guess.mean(0), shape.neutral_landmarks - shape.neutral_landmarks.mean(0)
        return float(np.linalg.norm(a * (np.vdot(a, b) / np.vdot(a, a)) - b))

    assert error(views) < error(views[2:3])


def test_the_astronaut_is_fitted_closely() -> None:
    face = detect_faces(astronaut())[0]
    camera = Camera.for_image(face.width, face.height)
    fit = fit_photo(face, camera, MODEL)
    assert fit.rms_px < 0.025 * face.eye_distance
    assert np.abs(fit.identity).max() < 2.5
    assert fit.expression[index("mouthSmileLeft")] > 0.4
    assert degrees_apart(fit.R_cam_head, FACING_CAMERA) < 25
    assert np.linalg.det(fit.R_cam_head.astype(float)) == pytest.approx(1, abs=1e-4)
    assert (np.abs(fit.frame.gaze) < 0.5).all()


def test_the_photos_face_leaves_no_residual() -> None:
    face = detect_faces(astronaut())[0]
    camera = Camera.for_image(face.width, face.height)
    fit = fit_photo(face, camera, MODEL)
    again = fit_frame(
        face.landmarks, face.blendshapes, camera, personal_shape(fit), MODEL, iterations=20
    )
    assert again.rms < fit.frame.rms / 4
    # It leans back to the scores
    np.testing.assert_allclose(again.expression, fit.expression, atol=0.12)


def test_a_mirrored_face_gives_the_mirrored_pose() -> None:
    picture = astronaut()
    straight, mirrored = (
        detect_faces(p)[0] for p in (picture, np.ascontiguousarray(picture[:, ::-1]))
    )
    camera = Camera.for_image(512, 512)
    a, b = fit_photo(straight, camera, MODEL), fit_photo(mirrored, camera, MODEL)
    mirror = np.diag([-1.0, 1.0, 1.0])
    assert degrees_apart(mirror @ a.R_cam_head @ mirror, b.R_cam_head) < 3
    np.testing.assert_allclose(a.t_cam_head * [-1, 1, 1], b.t_cam_head, atol=0.06)


def test_no_pictures_and_no_face_are_user_errors() -> None:
    with pytest.raises(UserError, match="no picture"):
        fit_identity([], CAMERA, MODEL)
    with pytest.raises(UserError, match="no head pose"):
        start_pose(np.full((478, 2), np.nan), CAMERA, MODEL.neutral)


def test_landmark_weights_leave_the_outline_loose() -> None:
    shape = face_shape(MODEL, np.zeros(1))
    found = seen(MODEL, shape, expression(), FACING_CAMERA, PLACE)
    slid = found.landmarks.copy()
    slid[list(lm.FACE_OVAL), 0] += 8
    fit = fit_frame(slid, found.blendshapes, CAMERA, shape, MODEL)
    assert degrees_apart(fit.R_cam_head, FACING_CAMERA) < 2.5
