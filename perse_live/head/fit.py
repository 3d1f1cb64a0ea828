"""Fitting the head rig to detected landmarks: who it is, how the head is turned, what the face does, where the eyes look.

All fits are Gauss-Newton on the reprojection of the 478 landmarks (as Thies et al., Face2Face, CVPR 2016, section 4, with
landmarks only): pseudo-Huber weights against bad landmarks, a ridge on identity, and MediaPipe's scores as the prior of the
expression. Bounds on the expression are kept by an active set, so that the bounded optimum is reached rather than a clipped
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from perse_live.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.errors import UserError
from perse_live.head import landmarks as lm
from perse_live.head.expressions import EXPRESSION_COUNT, EXPRESSION_NAMES, index, indices
from perse_live.head.gauss_newton import POSE_PARAMETERS, bounded_step, linearise, normal_equations
from perse_live.head.landmarks import FaceShape, LandmarkModel, face_shape
from perse_live.head.lids import lid_opening
from perse_live.rotations import from_axis_angle

_OUTLINE_TURN = np.radians(25)  # by which the trust in the face's outline has fallen to exp(-1/2)
_POSE = POSE_PARAMETERS


@dataclass(frozen=True)
class FitConfig:
    """Weights of the fit; the defaults are those with the best likeness on real clips."""

    identity_ridge: float = 6.0
    """Pull of each identity coefficient to 0. Above 1 because the errors of neighbouring landmarks are not independent."""
    expression_ridge: float = 6.0
    """Pull of the expression to the detector's scores, divided by each action's squared deviation below."""
    expression_deviation: float = 0.35
    """How far an action may be from the detector's score (one standard deviation)."""
    jaw_open_deviation: float = 0.8
    """The same for jawOpen: the detector gives a third of what the rig's jaw needs."""
    eye_look_deviation: float = 0.8
    """The same for the eyeLook actions: the irises say more than the scores."""
    blink_deviation: float = 0.02
    """The same for the blinks: the detector's scores are more reliable than its lid landmarks."""
    robust_scale: float = 3.0
    """Error, in units of a landmark's sigma, beyond which it counts linearly."""
    sigma_floor: float = 0.004
    """Added to every landmark's sigma, in eye distances: the detector's noise."""
    oval_weight: float = 0.5
    """Weight of the face's outline, which slides over the skin as the head turns."""
    damping: float = 1e-3
    """Levenberg damping of the first steps, relative to the diagonal."""
    residual_limit: float = 0.008
    """Longest offset, metres, that a frame's residual may have; longer ones are outliers."""


@dataclass(frozen=True, eq=False)
class FrameFit:
    """Pose and expression of one frame."""

    R_cam_head: Float32Array
    """(3, 3)."""
    t_cam_head: Float32Array
    """(3,) metres."""
    expression: Float32Array
    """(52,) [0, 1]."""
    gaze: Float32Array
    """(2, 2) left and right eye: yaw towards +x, pitch upwards, radians, head frame; from where the irises are seen."""
    residual: Float32Array
    """(478, 3) metres, head frame: what to add to the landmarks, in the picture's plane, to meet the detected ones. Of the face's
    outline only what lies across it, since along it landmarks slide, and ever less as the head turns away."""
    residual_px: Float32Array
    """(478, 2) detected minus projected landmarks, pixels."""
    rms: float
    """Root mean square length of `residual_px` without outline and irises, in distances between the outer eye corners."""
    lid_opening: Float32Array = field(default_factory=lambda: np.ones(2, np.float32))
    """(2,) left and right eye: see `perse_live.head.lids.lid_opening`."""


@dataclass(frozen=True, eq=False)
class PhotoFit:
    """A frame's fit and whose face it is."""

    frame: FrameFit
    """Pose, expression and gaze in the photo."""
    identity: Float32Array
    """(K,) coefficients, standard deviations."""
    shape: FaceShape
    """The identity's landmarks and eyeballs at rest, without the residual; see `personal_shape`."""

    @property
    def R_cam_head(self) -> Float32Array:
        """(3, 3)."""
        return self.frame.R_cam_head

    @property
    def t_cam_head(self) -> Float32Array:
        """(3,) metres."""
        return self.frame.t_cam_head

    @property
    def expression(self) -> Float32Array:
        """(52,) [0, 1]."""
        return self.frame.expression

    @property
    def rms_px(self) -> float:
        """Root mean square landmark error, pixels, all 478 landmarks."""
        return float(np.sqrt((self.frame.residual_px**2).sum(1).mean()))


def personal_shape(fit: PhotoFit) -> FaceShape:
    """The photo's face at rest with what identity and expression cannot express: its shape plus the photo's residual.

    The irises keep their place: where they are is gaze, not shape.
    """
    residual = fit.frame.residual.copy()
    residual[list(lm.IRIS)] = 0
    return FaceShape(
        fit.shape.neutral_landmarks + residual, fit.shape.eye_centers, fit.shape.eye_radius
    )


@lru_cache(maxsize=4)
def _landmark_weights(model: LandmarkModel, config: FitConfig) -> Float32Array:
    """(478,) inverse standard deviations, per eye distance."""
    weights = 1 / (config.sigma_floor + model.sigma)
    weights[list(lm.FACE_OVAL)] *= config.oval_weight
    return weights.astype(np.float32)


@lru_cache(maxsize=8)
def _basis(model: LandmarkModel, identity_count: int) -> Float32Array:
    """(3, k + 52, 478) displacements by the identity components and the actions: derivative of the landmarks by them."""
    stacked = np.concatenate([model.identity_basis[:identity_count], model.actions])
    return np.ascontiguousarray(stacked.transpose(2, 0, 1))


@lru_cache(maxsize=4)
def expression_weights(config: FitConfig) -> Float32Array:
    """(52,) weights of the expression's prior."""
    deviation = np.full(EXPRESSION_COUNT, config.expression_deviation)
    deviation[index("jawOpen")] = config.jaw_open_deviation
    deviation[[name.startswith("eyeLook") for name in EXPRESSION_NAMES]] = config.eye_look_deviation
    deviation[indices(["eyeBlinkLeft", "eyeBlinkRight"])] = config.blink_deviation
    return (config.expression_ridge / deviation**2).astype(np.float32)


def _intrinsics(camera: Camera) -> Float32Array:
    return np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)


def start_pose(
    landmarks: FloatArray, camera: Camera, neutral_landmarks: FloatArray
) -> tuple[Float64Array, Float64Array]:
    """A first pose of a head from its landmarks, whatever the pose (SQPnP, Terzakis & Lourakis, ECCV 2020).

    landmarks: (478, 2 or 3) pixels; neutral_landmarks: (478, 3) metres, head frame.
    Returns R_cam_head (3, 3) and t_cam_head (3,). Raises UserError where the landmarks are no face at all.
    """
    import cv2

    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    complaint = "no head pose fits the landmarks of this picture: use a picture with a whole, unobstructed face"
    try:
        found, rotation, shift = cv2.solvePnP(
            np.asarray(neutral_landmarks, np.float64),
            np.asarray(landmarks[:, :2], np.float64),
            matrix,
            None,
            flags=cv2.SOLVEPNP_SQPNP,
        )
    except cv2.error as error:  # points that all coincide, or are not finite
        raise UserError(complaint) from error
    if not found or not np.isfinite(shift).all() or shift[2, 0] <= 0:
        raise UserError(complaint)
    return np.asarray(cv2.Rodrigues(rotation)[0], np.float64), np.asarray(shift[:, 0], np.float64)


@dataclass(eq=False)
class _State:
    """The unknowns of one frame while a fit runs."""

    rotation: Float64Array  # (3, 3)
    shift: Float64Array  # (3,)
    expression: Float64Array  # (52,)

    def move(self, pose_step: FloatArray, expression_step: FloatArray) -> None:
        self.rotation = from_axis_angle(np.asarray(pose_step[:3], np.float64)) @ self.rotation
        self.shift = self.shift + pose_step[3:]
        self.expression = np.clip(self.expression + expression_step, 0, 1)


@dataclass(frozen=True, eq=False)
class FrameProblem:
    """One frame's landmarks with the weights that stay the same over the iterations."""

    landmarks: Float32Array
    """(478, 2) pixels."""
    prior: Float64Array
    """(52,) the detector's scores."""
    weights: Float32Array
    """(478,) inverse standard deviations, per pixel."""
    intrinsics: Float32Array
    """(4,) fx, fy, cx, cy, pixels."""
    robust_scale: float
    """Of the pseudo-Huber weight, in standard deviations."""


def _eye_distance(points: FloatArray) -> float:
    right, left = points[lm.EYE_CORNERS[0]], points[lm.EYE_CORNERS[1]]
    return float(np.linalg.norm(left - right))


def frame_problem(
    landmarks: FloatArray,
    blendshapes: FloatArray,
    camera: Camera,
    model: LandmarkModel,
    config: FitConfig,
) -> FrameProblem:
    """What a frame's fit minimises.

    landmarks: (478, 2 or 3) pixels; blendshapes: (52,) the detector's scores.
    """
    points = np.ascontiguousarray(landmarks[:, :2], np.float32)
    eye_distance = _eye_distance(points)
    # seen from the side the corners come together: the face's height is another measure of its size
    size = max(eye_distance, 0.54 * float(np.ptp(points[list(lm.FACE_OVAL), 1])), 1.0)
    weights = (_landmark_weights(model, config) / size).astype(np.float32)
    return FrameProblem(
        points,
        np.asarray(blendshapes, np.float64),
        weights,
        _intrinsics(camera),
        config.robust_scale,
    )


def _normal_equations(
    problem: FrameProblem, state: _State, points: FloatArray, basis: Float32Array
) -> tuple[Float64Array, Float64Array]:
    """J'J (N, N) and J'r (N,) of a frame at a state, N = 6 + the basis' parameters; points: (478, 3) metres, head frame."""
    count, unknowns = len(points), _POSE + basis.shape[1]
    jacobian, residual = (
        np.empty((unknowns, 2 * count), np.float32),
        np.empty(2 * count, np.float32),
    )
    linearise(
        np.ascontiguousarray(points.T, np.float32),
        basis,
        state.rotation.astype(np.float32),
        state.shift.astype(np.float32),
        problem.intrinsics,
        problem.landmarks,
        problem.weights,
        problem.robust_scale,
        jacobian,
        residual,
    )
    normal, gradient = np.empty((unknowns, unknowns)), np.empty(unknowns)
    normal_equations(jacobian, residual, normal, gradient)
    return normal, gradient


def _finish(
    problem: FrameProblem,
    state: _State,
    shape: FaceShape,
    model: LandmarkModel,
    camera: Camera,
    config: FitConfig,
) -> FrameFit:
    rotation, shift = state.rotation.astype(np.float32), state.shift.astype(np.float32)
    expression = state.expression.astype(np.float32)
    points = shape.neutral_landmarks + np.tensordot(expression, model.actions, 1)
    posed = points @ rotation.T + shift
    seen = camera.project(posed)
    error = (problem.landmarks - seen).astype(np.float32)
    kept = error.copy()
    outline = list(lm.FACE_OVAL)
    kept[outline] = _across(error[outline], seen[outline]) * _outline_trust(rotation)
    inside = _inside()
    eye_distance = _eye_distance(problem.landmarks)
    return FrameFit(
        rotation,
        shift,
        expression,
        gaze_from_iris(problem.landmarks, rotation, shift, camera, shape),
        lift_residual(kept, posed[:, 2], rotation, camera, limit=config.residual_limit),
        error,
        float(np.sqrt((error[inside] ** 2).sum(1).mean()) / max(eye_distance, 1.0)),
        lid_opening(problem.landmarks, rotation, shift, camera, shape.neutral_landmarks),
    )


def _across(error: FloatArray, outline: FloatArray) -> FloatArray:
    """The part of errors (N, 2) at a closed line of points (N, 2) that is normal to the line."""
    along = np.roll(outline, -1, 0) - np.roll(outline, 1, 0)
    normal = np.stack([along[:, 1], -along[:, 0]], 1) / np.maximum(
        np.linalg.norm(along, axis=1, keepdims=True), 1e-9
    )
    return (error * normal).sum(1, keepdims=True) * normal


def _outline_trust(R_cam_head: FloatArray) -> float:
    """1 for a head that faces the camera, 0 for a profile, whose outline runs over other skin."""
    turn = np.arccos(np.clip(-R_cam_head[2, 2], -1, 1))
    return float(np.exp(-0.5 * (turn / _OUTLINE_TURN) ** 2))


@lru_cache(maxsize=1)
def _inside() -> BoolArray:
    mask = np.ones(lm.LANDMARK_COUNT, np.bool_)
    mask[[*lm.FACE_OVAL, *lm.IRIS]] = False
    return mask


def lift_residual(
    residual_px: FloatArray,
    depth: FloatArray,
    R_cam_head: FloatArray,
    camera: Camera,
    *,
    limit: float = np.inf,
) -> Float32Array:
    """Offsets in the picture as offsets in the head frame, parallel to the picture.

    residual_px: (N, 2) pixels; depth: (N,) metres along the camera's z; limit: longest offset, metres; longer ones are shortened.
    Returns (N, 3) float32 metres.
    """
    offset = np.zeros((len(residual_px), 3), np.float32)
    offset[:, 0] = residual_px[:, 0] * depth / camera.fx
    offset[:, 1] = residual_px[:, 1] * depth / camera.fy
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    offset *= np.minimum(1, limit / np.maximum(length, 1e-9))
    return (offset @ R_cam_head).astype(np.float32)


def gaze_from_iris(
    landmarks: FloatArray,
    R_cam_head: FloatArray,
    t_cam_head: FloatArray,
    camera: Camera,
    shape: FaceShape,
) -> Float32Array:
    """Where the eyes look, from where the iris centres are seen: the ray through the pixel meets the eyeball.

    landmarks: (478, 2 or 3) pixels. Returns (2, 2) float32 left and right eye: yaw towards +x, pitch upwards, radians, head
    frame. A ray that misses the eyeball counts as its nearest point.
    """
    pixels = np.asarray(landmarks, np.float64)[[lm.LEFT_IRIS[0], lm.RIGHT_IRIS[0]], :2]
    rays = camera.unproject(pixels, np.ones(2))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    centers = shape.eye_centers @ R_cam_head.T + t_cam_head
    along = (rays * centers).sum(1)
    miss = rays * along[:, None] - centers
    depth = np.sqrt(np.maximum(shape.eye_radius**2 - (miss**2).sum(1), 0))
    towards = (miss - rays * depth[:, None]) @ R_cam_head
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-9)
    return np.stack(
        [np.arctan2(towards[:, 0], towards[:, 2]), np.arcsin(np.clip(towards[:, 1], -1, 1))], 1
    ).astype(np.float32)


def fit_frame(
    landmarks: FloatArray,
    blendshapes: FloatArray,
    camera: Camera,
    shape: FaceShape,
    model: LandmarkModel,
    *,
    start: FrameFit | None = None,
    iterations: int | None = None,
    config: FitConfig = FitConfig(),
) -> FrameFit:
    """Pose, expression and gaze of a known face in one frame.

    landmarks: (478, 2 or 3) pixels; blendshapes: (52,) the detector's scores; shape: the face at rest; start: the previous
    frame's fit (3 steps then suffice; without it the pose is found from nothing in 8); iterations: other than those.
    Raises UserError where the landmarks are no face.
    """
    problem = frame_problem(landmarks, blendshapes, camera, model, config)
    if start is None:
        state = _State(
            *start_pose(landmarks, camera, shape.neutral_landmarks), problem.prior.copy()
        )
    else:
        state = _State(
            start.R_cam_head.astype(np.float64),
            start.t_cam_head.astype(np.float64),
            start.expression.astype(np.float64),
        )
    basis, prior_weights = _basis(model, 0), expression_weights(config).astype(np.float64)
    steps = iterations if iterations is not None else (8 if start is None else 3)
    diagonal = np.arange(_POSE + EXPRESSION_COUNT)
    for step in range(steps):
        points = shape.neutral_landmarks + np.tensordot(
            state.expression.astype(np.float32), model.actions, 1
        )
        normal, gradient = _normal_equations(problem, state, points, basis)
        normal[diagonal[_POSE:], diagonal[_POSE:]] += prior_weights
        gradient[_POSE:] += prior_weights * (problem.prior - state.expression)
        if start is None and step < 3:
            normal[diagonal, diagonal] *= 1 + config.damping
        move = bounded_step(normal, gradient, _POSE, -state.expression, 1 - state.expression)
        state.move(move[:_POSE], move[_POSE:])
    return _finish(problem, state, shape, model, camera, config)


def fit_photo(
    detection: Detection,
    camera: Camera,
    model: LandmarkModel,
    *,
    identity_count: int = 100,
    iterations: int = 25,
    config: FitConfig = FitConfig(),
) -> PhotoFit:
    """Identity, pose, expression and gaze of the face in one photo (0.1 s).

    identity_count: how many identity coefficients to fit; the returned vector has that length.
    Raises UserError where the landmarks are no face.
    """
    return fit_identity(
        [detection],
        camera,
        model,
        identity_count=identity_count,
        iterations=iterations,
        config=config,
    )[0]


def fit_identity(
    detections: Sequence[Detection],
    camera: Camera,
    model: LandmarkModel,
    *,
    identity_count: int = 100,
    iterations: int = 25,
    config: FitConfig = FitConfig(),
) -> list[PhotoFit]:
    """One identity for several pictures of one person, each with its own pose and expression.

    detections: at least one, all seen by the same camera; a dozen is plenty (cost grows linearly).
    Returns a fit per picture; all share the identity and the shape. The joint normal equations are solved by eliminating the
    frames (Schur complement, Triggs et al., Bundle Adjustment, 2000, section 6.1). Raises UserError for none, or where one is no
    face.
    """
    if not detections:
        raise UserError("no picture to find the identity from: give at least one with a face")
    k = min(identity_count, len(model.identity_basis))
    problems = [
        frame_problem(found.landmarks, found.blendshapes, camera, model, config)
        for found in detections
    ]
    states = [
        _State(*start_pose(found.landmarks, camera, model.neutral), problem.prior.copy())
        for found, problem in zip(detections, problems, strict=True)
    ]
    identity = np.zeros(k)
    basis, prior_weights = _basis(model, k), expression_weights(config).astype(np.float64)
    # A frame's unknowns: pose, expression
    per_frame = np.r_[:_POSE, _POSE + k : _POSE + k + EXPRESSION_COUNT]
    shared = slice(_POSE, _POSE + k)
    for step in range(iterations):
        rest = model.neutral + np.tensordot(
            identity.astype(np.float32), model.identity_basis[:k], 1
        )
        schur = config.identity_ridge * np.eye(k)
        right = -config.identity_ridge * identity
        frames: list[tuple[Float64Array, Float64Array, Float64Array]] = []
        for problem, state in zip(problems, states, strict=True):
            points = rest + np.tensordot(state.expression.astype(np.float32), model.actions, 1)
            normal, gradient = _normal_equations(problem, state, points, basis)
            a, b, g = (
                normal[np.ix_(per_frame, per_frame)],
                normal[per_frame, shared],
                gradient[per_frame],
            )
            each = np.arange(_POSE, _POSE + EXPRESSION_COUNT)
            a[each, each] += prior_weights
            g[_POSE:] += prior_weights * (problem.prior - state.expression)
            if step < iterations // 2:
                a[np.diag_indices_from(a)] *= 1 + config.damping
            # actions that are at a bound and pushed outwards do not move, nor may they stand in for identity
            free = np.ones(len(g), np.bool_)
            free[_POSE:] = ~(
                (state.expression <= 0) & (g[_POSE:] < 0)
                | (state.expression >= 1) & (g[_POSE:] > 0)
            )
            solved = np.linalg.solve(
                a[np.ix_(free, free)], np.concatenate([b[free], g[free, None]], 1)
            )
            schur += normal[shared, shared] - b[free].T @ solved[:, :-1]
            right += gradient[shared] - b[free].T @ solved[:, -1]
            frames.append((a, b, g))
        identity_step = np.linalg.solve(schur, right)
        identity = identity + identity_step
        for (a, b, g), state in zip(frames, states, strict=True):
            move = bounded_step(
                a, g - b @ identity_step, _POSE, -state.expression, 1 - state.expression
            )
            state.move(move[:_POSE], move[_POSE:])
    coefficients = identity.astype(np.float32)
    shape = face_shape(model, coefficients)
    return [
        PhotoFit(_finish(problem, state, shape, model, camera, config), coefficients, shape)
        for problem, state in zip(problems, states, strict=True)
    ]
