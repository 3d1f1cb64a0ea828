"""Face tracking: from detections to the avatar's motion, frame by frame.

`KnownFaceTracker` follows the avatar's subject: the expression is absolute, the pose that of the picture. `StrangerTracker`
tracks any person: it first learns the person's neutral face and returns motion relative to it. Both return None where there is
no face.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.errors import UserError
from perse_live.head import landmarks as lm
from perse_live.head.expressions import index
from perse_live.head.fit import FitConfig, FrameFit, fit_frame, fit_identity
from perse_live.head.landmarks import FaceShape, LandmarkModel, face_shape
from perse_live.head.lids import without_coupling
from perse_live.rotations import FACING_CAMERA, from_axis_angle, to_axis_angle
from runtime.smoothing import OneEuroConfig, OneEuroFilter

# Eye distances; beyond it a fit started from the last frame is tried again from nothing
_LOST_RMS = 0.08
# Blink scores between which the detector's irises lose their meaning
_CLOSING, _CLOSED = (0.45, 0.75)
_OPENINGS = 150  # frames that tell how far open a person's eyes usually are
# Of these: above the median, since lids are lowered oftener than they are raised
_OPEN_QUANTILE = 0.7
_OPEN_AT_FIRST = 15  # of these that are taken to be as at rest while there are none
_MIN_OPENING = 0.3  # of the lids, of a person whose eyes are open
_GAZE_GAIN = 1.2  # of what the detector sees of a glance
_GAZE_NOISE, _GAZE_SURE = 0.06, 0.20  # radians between which the gain sets in
_SETTLE_FRAMES = 8  # over which a fresh calibration takes over from the provisional neutral
_AGAIN_STEPS = 2  # of a fit to landmarks that moved by a pixel or two
_BLINKS = (index("eyeBlinkLeft"), index("eyeBlinkRight"))


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """Motion of the avatar in one frame."""

    timestamp: float
    """Seconds, as given with the picture."""
    expression: Float32Array
    """(52,) [0, 1]."""
    R_cam_head: Float32Array
    """(3, 3)."""
    t_cam_head: Float32Array
    """(3,) metres."""
    gaze: Float32Array
    """(2, 2) left and right eye: yaw towards +x, pitch upwards, radians, head frame."""
    residual: Float32Array
    """(478, 3) metres, head frame: landmark offsets that the 52 actions cannot express."""
    confidence: float
    """[0, 1] confidence, from the landmark error of the fit; below 0.3 the frame should be ignored."""


@dataclass(frozen=True)
class TrackerConfig:
    """Parameters of tracking."""

    fit: FitConfig = field(default_factory=lambda: FitConfig(jaw_open_deviation=0.05))
    """Weights of the fit. Where the lips are comes from the landmarks either way, through the residual; where the teeth are, the
    detector's jawOpen knows better: held closely to it, self-reenactment gains 0.2 dB in the mouth (0.5 in a grin)."""
    smoothing: OneEuroConfig | None = None
    """None: no smoothing and no delay, right for files; smoothing costs likeness in every measure, so keep it light."""
    calibration_frames: int = 15
    """Near-frontal frames that a stranger's neutral face is learned from: half a second."""
    calibration_patience: int = 90
    """Frames after which the most frontal ones so far have to do."""
    frontal_degrees: float = 14.0
    """Largest turn of the head, yaw or pitch, that still counts as frontal."""
    identity_frames: int = 4
    """Of the calibration's frames, how many the stranger's head shape is fitted to (about 10 ms each, once)."""


@dataclass(frozen=True, eq=False)
class RestPose:
    """Pose and size of the avatar when the driver is at rest."""

    R_cam_head: Float32Array
    """(3, 3)."""
    t_cam_head: Float32Array
    """(3,) metres."""
    eye_distance: float = 0.09
    """Metres between the outer eye corners of the avatar, to which the driver's motion is scaled."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A driver's neutral face and pose, subtracted from every frame."""

    shape: FaceShape
    """The driver's face at rest."""
    expression: Float32Array
    """(52,) fitted expression of the face at rest."""
    gaze: Float32Array
    """(2, 2) radians."""
    R_cam_head: Float32Array
    """(3, 3) the frontal pose."""
    t_cam_head: Float32Array
    """(3,) metres."""
    residual: Float32Array
    """(478, 3) metres, head frame."""
    lid_opening: Float32Array
    """(2,) of the open eyes, left and right: see `perse_live.head.lids.lid_opening`."""
    frames: int
    """Number of frames that it was computed from."""


class _Follower:
    """Fits one face frame by frame, each initialised from the last."""

    def __init__(self, model: LandmarkModel, config: TrackerConfig) -> None:
        self.model, self.config = model, config
        self.last: FrameFit | None = None
        self._seen: FrameFit | None = None  # the last frame's fit to the landmarks as detected
        self._usual = np.ones(2, np.float32)  # how far open the eyes are while they are open
        self._openings: deque[Float32Array] = deque(
            [self._usual] * _OPEN_AT_FIRST, maxlen=_OPENINGS
        )

    def fit(
        self,
        detection: Detection,
        camera: Camera,
        shape: FaceShape,
        *,
        usual: FloatArray | None = None,
    ) -> FrameFit | None:
        """The face's fit, or None where the landmarks are no face; gaze is kept while an eye is shut.

        usual: (2,) opening of the lids while the eyes are open, where it is known.
        """
        before = self.last
        try:
            seen = self._fit(detection, camera, shape, before)
            if before is not None and not seen.rms < _LOST_RMS:
                seen = self._fit(detection, camera, shape, None)
            self._openings.append(seen.lid_opening)
            open_eyes = (
                np.quantile(np.stack(self._openings), _OPEN_QUANTILE, 0) if usual is None else usual
            )
            self._usual = np.maximum(open_eyes, _MIN_OPENING)
            self._seen, found = seen, self._without_coupling(detection, camera, shape, seen)
        except (UserError, np.linalg.LinAlgError):
            self.last = None
            return None
        if before is not None:
            found = replace(
                found, gaze=_gaze_through_blinks(before.gaze, found.gaze, detection.blendshapes)
            )
        self.last = found
        return found

    def _fit(
        self,
        detection: Detection,
        camera: Camera,
        shape: FaceShape,
        start: FrameFit | None,
        *,
        steps: int | None = None,
    ) -> FrameFit:
        return fit_frame(
            detection.landmarks,
            detection.blendshapes,
            camera,
            shape,
            self.model,
            start=start,
            iterations=steps,
            config=self.config.fit,
        )

    def _without_coupling(
        self, detection: Detection, camera: Camera, shape: FaceShape, fit: FrameFit
    ) -> FrameFit:
        """The fit repeated with decoupled lids where the person winks."""
        apart = without_coupling(detection, fit.lid_opening, self._usual, fit.R_cam_head)
        return (
            fit if apart is detection else self._fit(apart, camera, shape, fit, steps=_AGAIN_STEPS)
        )

    def again(self, detection: Detection, camera: Camera, shape: FaceShape) -> FrameFit | None:
        """The last frame's fit to better landmarks, which the next frame does not start from."""
        if self.last is None or self._seen is None:
            return None
        try:
            apart = without_coupling(
                detection, self._seen.lid_opening, self._usual, self._seen.R_cam_head
            )
            found = self._fit(apart, camera, shape, self.last, steps=_AGAIN_STEPS)
        except (UserError, np.linalg.LinAlgError):
            return None
        return replace(
            found, gaze=_gaze_through_blinks(self.last.gaze, found.gaze, detection.blendshapes)
        )

    def lose(self) -> None:
        """Discard the last frame: the next face may be anywhere."""
        self.last = None


def _gaze_through_blinks(before: FloatArray, now: FloatArray, scores: FloatArray) -> Float32Array:
    shut = np.clip((scores[list(_BLINKS)] - _CLOSING) / (_CLOSED - _CLOSING), 0, 1)[:, None]
    return (shut * before + (1 - shut) * now).astype(np.float32)


def full_gaze(offset: FloatArray) -> Float32Array:
    """Gaze corrected for the detector's bias of the irises towards the middle of the eye.

    offset: (2, 2) radians from the gaze that counts as known. Small offsets are noise, and kept. On clips with glances the eyes
    come 0.15 dB closer; a larger gain, which renderings of avatars would ask for, takes them past the film's.
    """
    size = np.linalg.norm(offset, axis=1, keepdims=True)
    sure = np.clip((size - _GAZE_NOISE) / (_GAZE_SURE - _GAZE_NOISE), 0, 1)
    return ((1 + (_GAZE_GAIN - 1) * sure) * offset).astype(np.float32)


def _confidence(fit: FrameFit) -> float:
    """1 for typical landmark errors (1-2 % of the eye distance), 0 from 8 % on."""
    return float(np.clip((0.08 - fit.rms) / 0.05, 0, 1))


class _Smoother:
    """One-Euro filters for all that a frame holds; passes frames on unchanged without a config."""

    def __init__(self, config: OneEuroConfig | None) -> None:
        self._config = config
        # Rotations are filtered as vectors relative to the first
        self._anchor: FloatArray | None = None
        self._filters: dict[str, OneEuroFilter] = {}

    def __call__(self, frame: TrackedFrame) -> TrackedFrame:
        if self._config is None:
            return frame
        if self._anchor is None:
            self._anchor = frame.R_cam_head.astype(np.float64)
        turn = self._smooth(
            "turn", to_axis_angle(frame.R_cam_head @ self._anchor.T), frame.timestamp
        )
        return replace(
            frame,
            R_cam_head=(from_axis_angle(turn) @ self._anchor).astype(np.float32),
            t_cam_head=self._smooth("place", frame.t_cam_head * 10, frame.timestamp)
            / np.float32(10),  # decimetres: like radians
            expression=self._smooth("expression", frame.expression, frame.timestamp),
            gaze=self._smooth("gaze", frame.gaze, frame.timestamp),
            residual=self._smooth("residual", frame.residual * 100, frame.timestamp)
            / np.float32(100),
        )

    def _smooth(self, name: str, value: FloatArray, time: float) -> Float32Array:
        assert self._config is not None
        return self._filters.setdefault(name, OneEuroFilter(self._config))(value, time).astype(
            np.float32
        )

    def reset(self) -> None:
        self._anchor = None
        self._filters.clear()


class KnownFaceTracker:
    """Tracks the avatar's subject: pose, position and absolute expression as in the picture (self-reenactment)."""

    def __init__(
        self,
        shape: FaceShape,
        model: LandmarkModel,
        *,
        camera: Camera | None = None,
        photo_gaze: FloatArray | None = None,
        config: TrackerConfig = TrackerConfig(),
    ) -> None:
        """Prepare; loads nothing.

        shape: the avatar's face at rest; camera: that of the pictures, None for `Camera.for_image` of each picture's size;
        photo_gaze: (2, 2) radians, as detected in the photo that the avatar's eyes are from, None for straight ahead.
        """
        self._shape, self._camera = shape, camera
        self._photo_gaze = np.zeros((2, 2), np.float32) if photo_gaze is None else photo_gaze
        self._follower, self._smoother = _Follower(model, config), _Smoother(config.smoothing)

    def update(self, detection: Detection | None, timestamp: float) -> TrackedFrame | None:
        """Motion for the next detection; None where the detector found no face.

        timestamp: seconds, growing.
        """
        fit = (
            None
            if detection is None
            else self._follower.fit(detection, _camera_of(detection, self._camera), self._shape)
        )
        if fit is None:
            self.reset()
            return None
        return self._smoother(
            TrackedFrame(
                timestamp,
                fit.expression,
                fit.R_cam_head,
                fit.t_cam_head,
                self._gaze(fit),
                fit.residual,
                _confidence(fit),
            )
        )

    def refit(self, detection: Detection, frame: TrackedFrame) -> TrackedFrame:
        """The last frame once more, without smoothing, from landmarks that are known better now."""
        fit = self._follower.again(detection, _camera_of(detection, self._camera), self._shape)
        if fit is None:
            return frame
        return replace(
            frame,
            expression=fit.expression,
            R_cam_head=fit.R_cam_head,
            t_cam_head=fit.t_cam_head,
            gaze=self._gaze(fit),
            residual=fit.residual,
        )

    def _gaze(self, fit: FrameFit) -> Float32Array:
        return (self._photo_gaze + full_gaze(fit.gaze - self._photo_gaze)).astype(np.float32)

    def reset(self) -> None:
        """Reset, as at a cut in a film."""
        self._follower.lose()
        self._smoother.reset()


class StrangerTracker:
    """Tracks any person: learns the neutral face, then returns motion relative to it.

    Until enough frontal frames have been seen, the median of the frames so far is used as a provisional neutral, so that the
    avatar moves from the second frame on.
    """

    def __init__(
        self,
        rest: RestPose,
        model: LandmarkModel,
        *,
        camera: Camera | None = None,
        calibration: Calibration | None = None,
        config: TrackerConfig = TrackerConfig(),
        executor: Executor | None = None,
    ) -> None:
        """Prepare; loads nothing.

        rest: where the avatar is while the driver rests; camera: that of the pictures, None for `Camera.for_image` of each
        picture's size; calibration: as from `calibrate`, of a film known beforehand; executor: computes the neutral face (a
        few tenths of a second) while the provisional one goes on, None: at once, so that the same frames give the same motion.
        """
        self._executor = executor
        self._awaited: Future[Calibration] | None = None
        self._rest, self._model, self._camera, self._config = rest, model, camera, config
        self._follower, self._smoother = _Follower(model, config), _Smoother(config.smoothing)
        self._seen: list[Detection] = []
        self._fits: list[FrameFit] = []
        self._average = face_shape(model, np.zeros(0))
        self._calibration = calibration
        # The last one before the calibration, and how many frames still lean on it
        self._provisional: TrackedFrame | None = None
        self._settling = 0

    @property
    def calibration(self) -> Calibration | None:
        """The driver's neutral, None while it is still being learned."""
        return self._calibration

    def recalibrate(self) -> None:
        """Learn the neutral again from the frames to come."""
        self._calibration = None
        self._awaited = None
        self._seen.clear()
        self._fits.clear()
        self._provisional = None
        self._follower.lose()
        self._smoother.reset()

    def update(self, detection: Detection | None, timestamp: float) -> TrackedFrame | None:
        """Motion for the next detection; None where the detector found no face.

        timestamp: seconds, growing.
        """
        shape = self._average if self._calibration is None else self._calibration.shape
        usual = None if self._calibration is None else self._calibration.lid_opening
        fit = None
        if detection is not None:
            fit = self._follower.fit(
                detection, _camera_of(detection, self._camera), shape, usual=usual
            )
        if detection is None or fit is None:
            self._follower.lose()
            self._smoother.reset()
            self._provisional = None
            return None
        neutral = (
            self._calibration if self._calibration is not None else self._learn(detection, fit)
        )
        frame = relative_motion(fit, neutral, self._rest, timestamp)
        if self._calibration is None:
            self._provisional, self._settling = frame, _SETTLE_FRAMES
        elif self._settling > 0 and self._provisional is not None:
            frame = _between(self._provisional, frame, 1 - self._settling / (_SETTLE_FRAMES + 1))
            self._settling -= 1
        return self._smoother(frame)

    def _learn(self, detection: Detection, fit: FrameFit) -> Calibration:
        if self._awaited is not None:
            return (
                self._accept(self._awaited)
                if self._awaited.done()
                else _neutral_of(self._fits, self._average)
            )
        self._seen.append(detection)
        self._fits.append(fit)
        frontal = [
            i
            for i, one in enumerate(self._fits)
            if _turn_degrees(one.R_cam_head) < self._config.frontal_degrees
        ]
        if (
            len(frontal) >= self._config.calibration_frames
            or len(self._seen) >= self._config.calibration_patience
        ):
            pairs = list(zip(self._seen, self._fits, strict=True))
            if self._executor is None:
                done: Future[Calibration] = Future()
                done.set_result(_calibrate(pairs, self._model, self._camera, self._config))
                return self._accept(done)
            self._awaited = self._executor.submit(
                _calibrate, pairs, self._model, self._camera, self._config
            )
        return _neutral_of(self._fits, self._average)

    def _accept(self, learnt: Future[Calibration]) -> Calibration:
        self._calibration, self._awaited = learnt.result(), None
        self._seen.clear()
        self._fits.clear()
        self._follower.lose()
        return self._calibration


def calibrate(
    detections: Sequence[Detection],
    model: LandmarkModel,
    *,
    camera: Camera | None = None,
    config: TrackerConfig = TrackerConfig(),
) -> Calibration:
    """A driver's neutral from several frames: head shape from the calmest frontal ones, then medians over their calmer half.

    detections: of one person, all of one picture size; more than `config.calibration_frames` frontal ones are no harm.
    Raises UserError for none.
    """
    average = face_shape(model, np.zeros(0))
    follower = _Follower(model, config)
    fits = [
        (found, fit)
        for found in detections
        if (fit := follower.fit(found, _camera_of(found, camera), average)) is not None
    ]
    return _calibrate(fits, model, camera, config)


def _calibrate(
    fits: list[tuple[Detection, FrameFit]],
    model: LandmarkModel,
    camera: Camera | None,
    config: TrackerConfig,
) -> Calibration:
    """The neutral from frames whose pose is known roughly, by a fit of the average face."""
    if not fits:
        raise UserError(
            "no frame with a whole face to learn the driver's neutral from: look into the camera"
        )
    fits = list(fits)
    follower = _Follower(model, config)
    fits.sort(key=lambda pair: _turn_degrees(pair[1].R_cam_head))
    frontal = [pair for pair in fits if _turn_degrees(pair[1].R_cam_head) < config.frontal_degrees]
    chosen = (
        frontal if len(frontal) >= config.calibration_frames else fits[: config.calibration_frames]
    )
    chosen.sort(key=lambda pair: float(pair[0].blendshapes.sum()))
    calm = chosen[: config.identity_frames]
    view = _camera_of(calm[0][0], camera)
    shape = fit_identity(
        [found for found, _ in calm], view, model, iterations=10, config=config.fit
    )[0].shape
    # The others show an expression
    resting = chosen[: max(config.calibration_frames, len(chosen) // 2)]
    refits = [fit for found, _ in resting if (fit := follower.fit(found, view, shape)) is not None]
    if not refits:  # the learnt shape fits no frame: the average face does
        return _neutral_of([fit for _, fit in resting], face_shape(model, np.zeros(0)))
    return _neutral_of(refits, shape)


def _neutral_of(fits: Sequence[FrameFit], shape: FaceShape) -> Calibration:
    """Medians over frames, at least one: what the face does most of the time. The pose is that of the frame nearest to the median
    turn.
    """
    turns = np.stack([to_axis_angle(FACING_CAMERA @ fit.R_cam_head) for fit in fits])
    middle = fits[int(np.linalg.norm(turns - np.median(turns, 0), axis=1).argmin())]

    def median(arrays: list[Float32Array]) -> Float32Array:
        return np.median(np.stack(arrays), 0).astype(np.float32)

    return Calibration(
        shape,
        median([fit.expression for fit in fits]),
        median([fit.gaze for fit in fits]),
        middle.R_cam_head,
        median([fit.t_cam_head for fit in fits]),
        median([fit.residual for fit in fits]),
        median([fit.lid_opening for fit in fits]),
        len(fits),
    )


def relative_motion(
    fit: FrameFit, neutral: Calibration, rest: RestPose, timestamp: float
) -> TrackedFrame:
    """A driver's frame carried over to the avatar.

    The expression loses the neutral's and is stretched so that full strength stays within reach; the head turns from the rest
    pose as the driver's does from the frontal one; shifts and residuals are scaled by the size of the faces.
    """
    size = rest.eye_distance / _eye_distance(neutral.shape)
    expression = np.clip(
        (fit.expression - neutral.expression) / np.maximum(1 - neutral.expression, 0.3), 0, 1
    )
    turn = neutral.R_cam_head.T @ fit.R_cam_head  # in the head frame
    residual = (fit.residual - neutral.residual) * np.float32(size)
    return TrackedFrame(
        timestamp,
        expression.astype(np.float32),
        (rest.R_cam_head @ turn).astype(np.float32),
        (rest.t_cam_head + size * (fit.t_cam_head - neutral.t_cam_head)).astype(np.float32),
        full_gaze(fit.gaze - neutral.gaze),
        residual,
        _confidence(fit),
    )


def _between(first: TrackedFrame, second: TrackedFrame, share: float) -> TrackedFrame:
    """The second frame's pose; the rest part of the way from the first to the second."""

    def mix(a: Float32Array, b: Float32Array) -> Float32Array:
        return (a + (b - a) * np.float32(share)).astype(np.float32)

    return replace(
        second,
        expression=mix(first.expression, second.expression),
        gaze=mix(first.gaze, second.gaze),
        t_cam_head=mix(first.t_cam_head, second.t_cam_head),
        residual=mix(first.residual, second.residual),
    )


def _eye_distance(shape: FaceShape) -> float:
    right, left = (shape.neutral_landmarks[corner] for corner in lm.EYE_CORNERS)
    return float(np.linalg.norm(left - right))


def _turn_degrees(R_cam_head: FloatArray) -> float:
    """Yaw or pitch, whichever is larger; roll does not count."""
    forward = (FACING_CAMERA @ R_cam_head)[:, 2]
    return float(
        np.degrees(
            max(abs(np.arctan2(forward[0], forward[2])), abs(np.arcsin(np.clip(forward[1], -1, 1))))
        )
    )


def _camera_of(detection: Detection, camera: Camera | None) -> Camera:
    return Camera.for_image(detection.width, detection.height) if camera is None else camera
