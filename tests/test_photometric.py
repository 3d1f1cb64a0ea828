from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import FloatArray, UInt8Array
from perse_live.avatar import Avatar, neutral_landmarks, personal_landmark_model
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.head.landmarks import FaceShape
from perse_live.rotations import from_euler_degrees
from runtime.photometric import PhotometricConfig, PhotometricTracker, glimpse, motion_between
from runtime.stage import Motion, Stage
from runtime.tracker import KnownFaceTracker, TrackedFrame
from toys import toy_avatar

SIDE = 128
CAMERA = Camera.for_image(320, 320)
POSE = HeadPose(
    np.diag([1.0, -1.0, -1.0]).astype(np.float32) @ from_euler_degrees(6, -4, 2).astype(np.float32),
    np.array([0.01, 0.02, 0.9], np.float32),
    np.diag([1.0, -1.0, -1.0]).astype(np.float32),
)
STILL = Motion(np.zeros(52, np.float32), np.zeros((2, 2), np.float32), POSE)


def texture(seed: int, *, side: int = SIDE, grain: float = 3.0) -> UInt8Array:
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), grain)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def moved_by(picture: UInt8Array, flow: FloatArray) -> UInt8Array:
    """The picture with its content moved; flow: (H, W, 2) where what arrives at each pixel came from, negated."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    return np.asarray(
        cv2.remap(
            picture,
            columns - flow[..., 0].astype(np.float32),
            rows - flow[..., 1].astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        ),
        np.uint8,
    )


ALL = np.ones((SIDE, SIDE), np.float32)
MIDDLE = np.s_[16:-16, 16:-16]


def constant(x: float, y: float) -> FloatArray:
    return np.broadcast_to(np.array([x, y]), (SIDE, SIDE, 2))


@pytest.mark.parametrize("shift", [(1.3, -0.8), (-2.2, 0.4), (0.0, 0.0)])
@pytest.mark.parametrize("exposure", [1.0, 0.8])
def test_a_known_motion_is_found_whatever_the_exposure(
    shift: tuple[float, float], exposure: float
) -> None:
    drawn = texture(0)
    seen = (exposure * moved_by(drawn, constant(*shift))).astype(np.uint8)
    found = motion_between(drawn, seen, ALL)[MIDDLE]
    np.testing.assert_allclose(found.mean((0, 1)), shift, atol=0.15)
    assert np.percentile(np.abs(found - shift), 95) < 0.5


def test_parts_that_move_apart_are_told_apart() -> None:
    rows, _ = np.mgrid[:SIDE, :SIDE]
    flow = np.stack([1.5 * np.tanh((rows - SIDE / 2) / 12), np.zeros((SIDE, SIDE))], 2)
    drawn = texture(1)
    found = motion_between(drawn, moved_by(drawn, flow), ALL)
    assert found[24, 20:-20, 0].mean() == pytest.approx(-1.5, abs=0.3)
    assert found[-24, 20:-20, 0].mean() == pytest.approx(1.5, abs=0.3)


def test_what_only_one_picture_shows_hardly_counts() -> None:
    drawn = texture(2)
    seen = moved_by(drawn, constant(1.2, 0.6))
    seen[56:72, 56:72] = 0  # a mouth that opened
    np.testing.assert_allclose(
        motion_between(drawn, seen, ALL)[MIDDLE].mean((0, 1)), (1.2, 0.6), atol=0.15
    )


def test_where_nothing_tells_there_is_no_motion() -> None:
    plain = np.full((SIDE, SIDE, 3), 140, np.uint8)
    assert np.abs(motion_between(plain, plain + np.uint8(3), ALL)).max() < 0.01
    drawn = texture(3)
    masked = motion_between(
        drawn, moved_by(drawn, constant(2, 0)), np.zeros((SIDE, SIDE), np.float32)
    )
    assert np.abs(masked).max() < 0.01


def test_no_motion_is_longer_than_believed() -> None:
    config = PhotometricConfig(farthest=0.01)
    drawn = texture(4)
    found = motion_between(drawn, moved_by(drawn, constant(3, 0)), ALL, config=config)
    assert np.linalg.norm(found, axis=2).max() <= 0.01 * SIDE + 1e-4


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """Solid, with colours that change slowly over the skin, as a face's do."""
    plain = toy_avatar(gaussians=12000)
    means = Animator(plain, threads=1).pose(STILL.expression, STILL.gaze, POSE).means
    # Radians per metre: a wave is 10 cm long
    waves = np.random.default_rng(6).normal(size=(3, 3)) * 60
    colors = (0.5 + 0.12 * np.sin(means @ waves)).astype(np.float32)
    surface = replace(plain.surface, axes=1.7 * plain.surface.axes)
    return replace(
        plain, surface=surface, colors=colors, opacities=np.full(len(plain), 0.99, np.float32)
    )


def points_of(avatar: Avatar, frame: TrackedFrame | HeadPose) -> FloatArray:
    return CAMERA.project(neutral_landmarks(avatar) @ frame.R_cam_head.T + frame.t_cam_head)


def seen_face(avatar: Avatar, error: tuple[float, float]) -> Detection:
    """What a detector finds that is wrong by pixels."""
    points = points_of(avatar, POSE) + np.array(error)
    landmarks = np.concatenate([points, np.zeros((478, 1))], 1).astype(np.float32)
    return Detection(
        landmarks,
        np.zeros(52, np.float32),
        np.eye(4, dtype=np.float32),
        CAMERA.width,
        CAMERA.height,
    )


def film_frame(avatar: Avatar) -> UInt8Array:
    return Stage(avatar, CAMERA, threads=1).draw(STILL, background=(0.5, 0.5, 0.5)).copy()


def known(avatar: Avatar) -> KnownFaceTracker:
    shape = FaceShape(neutral_landmarks(avatar), avatar.rig.eye_centers, avatar.rig.eye_radius)
    return KnownFaceTracker(shape, personal_landmark_model(avatar), camera=CAMERA)


@pytest.mark.parametrize("side", [128, 400])  # a face that is made smaller, one that is made larger
def test_a_glimpse_is_seen_by_its_camera(avatar: Avatar, side: int) -> None:
    face, image = seen_face(avatar, (0, 0)), film_frame(avatar)
    one = glimpse(image, face, CAMERA, side)
    assert one.picture.shape == (side, side, 3)
    on_glimpse = one.camera.project(neutral_landmarks(avatar) @ POSE.R_cam_head.T + POSE.t_cam_head)
    np.testing.assert_allclose(on_glimpse, one.inside(face.landmarks[:, :2]), atol=0.01)
    drawn = Stage(avatar, one.camera, threads=1).draw(STILL, background=(0.5, 0.5, 0.5))
    shift, _ = cv2.phaseCorrelate(
        *(
            cv2.GaussianBlur(
                cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64), (0, 0), 2
            )
            for picture in (drawn, one.picture)
        )
    )
    assert np.abs(shift).max() < 0.4  # splats are drawn a little wider on a coarse grid


@pytest.mark.parametrize("error", [(1.8, 0.0), (-1.0, 1.4)])
def test_landmarks_that_are_all_beside_the_face_are_put_right(
    avatar: Avatar, error: tuple[float, float]
) -> None:
    face, config = seen_face(avatar, error), PhotometricConfig()
    alone = known(avatar).update(face, 0.0)
    assert alone is not None
    tracker = PhotometricTracker(avatar, known(avatar), threads=1, config=config)
    found = tracker.update(face, glimpse(film_frame(avatar), face, CAMERA, config.side), 0.0)
    assert found is not None

    def misalignment(frame: TrackedFrame) -> float:
        return float(np.linalg.norm((points_of(avatar, frame) - points_of(avatar, POSE)).mean(0)))

    assert misalignment(alone) > 1.5
    assert misalignment(found) < 0.35


def test_another_persons_picture_changes_nothing(avatar: Avatar) -> None:
    face, config = seen_face(avatar, (1.5, 0)), PhotometricConfig()
    stranger = texture(5, side=320, grain=5)
    alone = known(avatar).update(face, 0.0)
    found = PhotometricTracker(avatar, known(avatar), threads=1, config=config).update(
        face, glimpse(stranger, face, CAMERA, config.side), 0.0
    )
    assert alone is not None
    assert found is not None
    for name in ("R_cam_head", "t_cam_head", "expression", "gaze", "residual"):
        np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))


def test_no_face_is_none(avatar: Avatar) -> None:
    tracker = PhotometricTracker(avatar, known(avatar), threads=1)
    assert tracker.update(None, None, 0.0) is None
    face = seen_face(avatar, (0, 0))
    nowhere = replace(face, landmarks=np.zeros_like(face.landmarks))
    assert tracker.update(nowhere, glimpse(film_frame(avatar), face, CAMERA, SIDE), 0.1) is None


def test_a_face_that_is_partly_outside_the_frame_is_followed(avatar: Avatar) -> None:
    face, config = seen_face(avatar, (0, 0)), PhotometricConfig()
    shift = np.array([150, 0, 0], np.float32)
    shifted = replace(face, landmarks=face.landmarks + shift)
    image = np.zeros((320, 320, 3), np.uint8)
    image[:, 150:] = film_frame(avatar)[:, :170]
    found = PhotometricTracker(avatar, known(avatar), threads=1, config=config).update(
        shifted, glimpse(image, shifted, CAMERA, config.side), 0.0
    )
    assert found is not None
    assert np.isfinite(found.residual).all()
