from __future__ import annotations

import numpy as np
import pytest

from offline.extra_views import ExtraView, view_geometry
from offline.portrait import Portrait
from offline.rig.identity import identity_rig, load_identity_model
from offline.rig.personal import PersonalHead, personal_head
from perse_live.arrays import Float32Array
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression
from perse_live.head.fit import FaceShape, FrameFit, PhotoFit
from perse_live.head.landmarks import (
    INNER_LIP_LOWER,
    face_shape,
    load_landmark_model,
    mesh_landmarks,
)
from perse_live.head.rig import Part, expressed, vertices_of

MODEL, CAMERA = load_landmark_model(), Camera.for_image(512, 512)
FACING = np.diag([1.0, -1.0, -1.0]).astype(np.float32)
SOMEBODY = np.random.default_rng(3).normal(0, 1, 40).astype(np.float32)


def fit(expressed: Float32Array) -> PhotoFit:
    """Of somebody whose mouth is a little lopsided, 0.6 m before the camera."""
    residual = np.zeros((lm.LANDMARK_COUNT, 3), np.float32)
    residual[list(lm.LIPS), 1] = 0.001
    frame = FrameFit(
        FACING,
        np.array([0, 0, 0.6], np.float32),
        expressed,
        np.zeros((2, 2), np.float32),
        residual,
        residual[:, :2],
        0.0,
    )
    shape = face_shape(MODEL, SOMEBODY)
    return PhotoFit(
        frame, SOMEBODY, FaceShape(shape.neutral_landmarks, shape.eye_centers, shape.eye_radius)
    )


def pixels_of(own: PhotoFit) -> Float32Array:
    rig = identity_rig(load_identity_model(), own.identity)
    moved = rig.vertices + np.tensordot(own.frame.expression, rig.actions, 1)
    points = mesh_landmarks(MODEL, moved) @ FACING.T + own.frame.t_cam_head
    return CAMERA.project(points).astype(np.float32)


@pytest.fixture(scope="module")
def portrayed() -> tuple[PersonalHead, PhotoFit]:
    """The head of a portrait with an open mouth, fitted together with a picture with a closed one."""
    wide_open, closed = fit(expression(jawOpen=0.7, mouthFunnel=0.4)), fit(expression())
    return personal_head(CAMERA, pixels_of(wide_open), wide_open, progress=lambda _: None), closed


def seen_in(own: PhotoFit, head: PersonalHead) -> Float32Array:
    """Where the landmarks of a further picture's fit are on the personal head, (478, 3) metres in the head frame."""
    nothing = np.zeros((512, 512, 3), np.uint8)
    detection = Detection(
        np.zeros((478, 3), np.float32), own.frame.expression, np.eye(4, dtype=np.float32), 512, 512
    )
    whole = np.ones((512, 512), np.bool_)
    view = ExtraView("", Portrait(nothing, whole, ~whole, detection, CAMERA, ()), own)
    geometry = view_geometry(view, head.geometry, head.fit, head.landmarks)
    return mesh_landmarks(MODEL, geometry.to_head(geometry.vertices)).astype(np.float32)


def test_a_further_picture_s_mouth_is_where_its_fit_has_it_though_the_portrait_s_is_open(
    portrayed: tuple[PersonalHead, PhotoFit],
) -> None:
    head, closed = portrayed
    fitted = (
        mesh_landmarks(MODEL, identity_rig(load_identity_model(), SOMEBODY).vertices)
        + closed.frame.residual
    )
    off = np.linalg.norm(seen_in(closed, head) - fitted, axis=1)[list(lm.LIPS)]
    # Metres; 1.9 and 6.6 mm with the fit of the closed actions
    assert off.mean() < 0.0003 and off.max() < 0.0012, off.max()


def test_under_the_photo_s_expression_the_rig_is_what_the_camera_saw(
    portrayed: tuple[PersonalHead, PhotoFit],
) -> None:
    head, _ = portrayed
    again = seen_in(fit(expression(jawOpen=0.7, mouthFunnel=0.4)), head)
    there = mesh_landmarks(MODEL, head.geometry.to_head(head.geometry.vertices))
    np.testing.assert_allclose(again, there, atol=0.0008)  # metres


def test_a_tongue_that_comes_out_passes_over_the_lower_lip(
    portrayed: tuple[PersonalHead, PhotoFit],
) -> None:
    rig = portrayed[0].rig
    out = expressed(rig, expression(tongueOut=1, jawOpen=0.35))
    tongue = out[vertices_of(rig, Part.TONGUE)]
    lip = mesh_landmarks(MODEL, out)[14]  # middle of the lower lip's inner edge
    at_lip = tongue[(np.abs(tongue[:, 2] - lip[2]) < 0.003) & (np.abs(tongue[:, 0]) < 0.012)]
    assert tongue[:, 2].max() > lip[2] + 0.005
    assert at_lip[:, 1].max() > lip[1]
    tip, root = (tongue[np.abs(lip[2] + reach - tongue[:, 2]) < 0.004] for reach in (0.010, 0.0))
    assert tip[:, 1].max() < root[:, 1].max() - 0.003  # it hangs
    assert np.ptp(tip[:, 0]) < 0.9 * np.ptp(root[:, 0])  # and is round


def test_lips_that_round_cover_more_of_the_lower_teeth(
    portrayed: tuple[PersonalHead, PhotoFit],
) -> None:
    rig = portrayed[0].rig
    rest, rounded = (expressed(rig, expression(mouthFunnel=strength)) for strength in (0, 1))
    lower, upper = (vertices_of(rig, part) for part in (Part.TEETH_LOWER, Part.TEETH_UPPER))
    assert (rest[lower, 1] - rounded[lower, 1]).min() > 0.003
    np.testing.assert_allclose(rest[upper], rounded[upper], atol=0.0002)  # metres


def test_the_rows_of_teeth_meet_in_a_grin_and_the_lip_hides_the_lower_one_without(
    portrayed: tuple[PersonalHead, PhotoFit],
) -> None:
    rig, model = portrayed[0].rig, load_landmark_model()
    lower, upper = (vertices_of(rig, part) for part in (Part.TEETH_LOWER, Part.TEETH_UPPER))

    def edges(**actions: float) -> tuple[float, float, float]:
        """Heights, metres, of the upper row's edge at the incisors, of the lower row's, and of the lower lip's inner edge."""
        vertices = expressed(rig, expression(**actions))
        front = np.abs(vertices[:, 0]) < 0.006
        lip = mesh_landmarks(model, vertices)[INNER_LIP_LOWER[len(INNER_LIP_LOWER) // 2], 1]
        return vertices[upper & front, 1].min(), vertices[lower & front, 1].max(), float(lip)

    # as the detector reports grins on film
    above, below, lip = edges(jawOpen=0.2, mouthSmileLeft=0.7, mouthSmileRight=0.7)
    assert abs(above - below) < 0.004
    assert below > lip + 0.005
    for opening in (0.15, 0.35, 0.7):
        above, below, lip = edges(jawOpen=opening)
        assert below < lip + 0.002
        assert above > below + 0.004
