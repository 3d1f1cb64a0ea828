"""A closing eye gets one smooth lash line, and loses what the photo shows of the open one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.correctives.closed_lids import with_thin_lids
from offline.looks.face.rest_positions import (
    depth_inside,
    landmarks_on,
    on_part,
    places_at_rest,
)
from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.correctives import feature_values
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression, index
from perse_live.head.rig import Part, expressed, gaze_from_expression
from perse_live.regions import Region
from runtime.stage import Motion, Stage, facing_pose

# Outer corner, upper and lower lid's middle, inner corner: left, right
_EYES = ((263, 386, 374, 362), (33, 159, 145, 133))
_SIDE = 256


def _eye(avatar: Avatar, eye: int, strengths: Float32Array) -> tuple[FloatArray, FloatArray]:
    """A close-up (S, S) of an eye's brightness, and where its four marks are in it, (4, 2), with both eyes shut."""
    pose = facing_pose(avatar)
    shut = expressed(avatar.rig, expression(eyeBlinkLeft=0.85, eyeBlinkRight=0.85))
    marks = _projected(avatar.source.camera, pose, landmarks_on(avatar, shut))[list(_EYES[eye])]
    scale = 0.6 * _SIDE / float(np.linalg.norm(marks[0] - marks[3]))
    middle = marks[[0, 3]].mean(0)
    camera = avatar.source.camera
    close = Camera(
        _SIDE,
        _SIDE,
        camera.fx * scale,
        camera.fy * scale,
        (camera.cx - middle[0]) * scale + _SIDE / 2,
        (camera.cy - middle[1]) * scale + _SIDE / 2,
    )
    drawn = Stage(avatar, close, threads=2).draw(
        Motion(strengths, gaze_from_expression(strengths), pose), background=(0, 0, 0)
    )
    return drawn.mean(2) / 255, (marks - middle) * scale + _SIDE / 2


def _projected(camera: Camera, pose: HeadPose, points: FloatArray) -> FloatArray:
    return camera.project(points @ pose.R_cam_head.T + pose.t_cam_head)


@pytest.mark.slow
def test_no_skin_covers_the_eyeballs_inside_the_lids_edges(astronaut_avatar: Avatar) -> None:
    places = places_at_rest(astronaut_avatar)
    marks = landmarks_on(astronaut_avatar, astronaut_avatar.rig.vertices)
    covering = np.zeros(len(places), np.bool_)
    for eye in (lm.LEFT_EYE, lm.RIGHT_EYE):
        covering |= depth_inside(places[:, :2], marks[list(eye), :2]) > 0.001
    middle = np.abs(places[:, None, 0] - astronaut_avatar.rig.eye_centers[:, 0]).min(1) < 0.008
    covering &= on_part(astronaut_avatar, Part.SKIN) & middle
    assert covering.any()
    solid = np.ones(len(places), np.float32)
    thin = with_thin_lids(replace(astronaut_avatar, opacities=solid))
    assert thin.opacities[covering].max() == 0
    assert (thin.opacities < 1).mean() < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("eye", [0, 1])
def test_a_closed_eye_has_one_smooth_dark_line(astronaut_avatar: Avatar, eye: int) -> None:
    drawn, marks = _eye(astronaut_avatar, eye, expression(eyeBlinkLeft=1, eyeBlinkRight=1))
    width = abs(marks[0, 0] - marks[3, 0])
    first, last = sorted(marks[[0, 3], 0])
    columns = np.arange(int(first + 0.15 * width), int(last - 0.15 * width))
    near = slice(int(marks[:, 1].min() - 0.25 * width), int(marks[:, 1].max() + 0.35 * width))
    strip = drawn[near, columns]
    darkest = strip.argmin(0)
    skin = np.quantile(strip, 0.8)
    assert (strip.min(0) < 0.75 * skin).mean() > 0.95  # all along, not dotted
    assert np.abs(np.diff(darkest)).max() < 0.06 * width  # in one line
    assert np.ptp(strip.min(0)) < 0.45 * skin


@pytest.mark.slow
def test_nothing_of_the_closed_eye_s_line_shows_at_rest_and_a_wink_leaves_the_other_eye(
    astronaut_avatar: Avatar,
) -> None:
    avatar = astronaut_avatar
    hidden = (avatar.regions == Region.LASHES) & (avatar.opacities == 0)
    assert hidden.sum() > 50
    left, right = expression(eyeBlinkLeft=1), expression(eyeBlinkRight=1)
    for strengths, other in ((left, 1), (right, 0)):
        np.testing.assert_allclose(
            _eye(avatar, other, strengths)[0], _eye(avatar, other, expression())[0], atol=0.03
        )
    names = [one.name for one in avatar.correctives.components]
    of_left = dict(
        zip(
            names,
            feature_values(avatar.correctives.components, left, np.zeros((2, 2))),
            strict=True,
        )
    )
    assert of_left["lashes-left"] == 1
    assert of_left["lashes-right"] == 0
    own = feature_values(
        avatar.correctives.components, avatar.source.expression, avatar.source.gaze
    )
    assert own[names.index("lashes-left")] == 0  # the photo's open eye stays the photo's
    assert avatar.source.expression[index("eyeBlinkLeft")] < 0.3
