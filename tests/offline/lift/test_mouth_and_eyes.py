from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.gaussian_layer import surface_layer
from offline.images import distance_to, polygon
from offline.lift.eyes import with_far_eye_as_near
from offline.lift.mouth import photographed_teeth
from offline.looks.face.rest_positions import landmarks_on
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import eye_openings, mouth_opening
from offline.texture.mirror import turned_share
from perse_live.avatar import Avatar, with_resting_lids
from perse_live.correctives import no_correctives
from perse_live.head.expressions import expression
from perse_live.head.landmarks import (
    LOWER_LIP_RING,
    UPPER_LIP_RING,
    load_landmark_model,
    mesh_landmarks,
)
from perse_live.head.rig import EYES, expressed, gaze_rotation
from perse_live.regions import Region
from perse_live.rotations import from_euler_degrees
from runtime.stage import Stage, facing_pose
from runtime.tiles import acting, close_up


@pytest.mark.slow
def test_openings_grow_with_the_mouth_and_shrink_with_the_lids(mean_head: PhotoGeometry) -> None:
    def landmarks(**actions: float) -> np.ndarray:
        head = (
            expressed(mean_head.rig, expression(**actions)) @ mean_head.R_cam_head.T
            + mean_head.t_cam_head
        )
        return mean_head.camera.project(mesh_landmarks(load_landmark_model(), head))

    shape = (512, 512)
    rest, talking = mouth_opening(landmarks(), shape), mouth_opening(landmarks(jawOpen=0.7), shape)
    assert talking.sum() > 4 * rest.sum()
    open_eyes, closed = (
        eye_openings(landmarks(), shape),
        eye_openings(landmarks(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), shape),
    )
    assert open_eyes.sum() > 1.8 * closed.sum()  # of closed eyes the line between the lids is left
    assert not (open_eyes & talking).any()


@pytest.mark.slow
def test_the_photo_s_teeth_carry_neither_the_dark_between_them_nor_the_lip_and_its_shade(
    mean_head: PhotoGeometry,
) -> None:
    head = expressed(
        mean_head.rig, expression(jawOpen=0.25, mouthUpperUpLeft=0.8, mouthUpperUpRight=0.8)
    )
    vertices = (head @ mean_head.R_cam_head.T + mean_head.t_cam_head).astype(np.float32)
    camera, turn, place = mean_head.camera, mean_head.R_cam_head, mean_head.t_cam_head
    geometry = photo_geometry(camera, mean_head.rig, head, turn, place, mean_head.template)
    shape = (512, 512)
    opening = mouth_opening(
        mean_head.camera.project(mesh_landmarks(load_landmark_model(), vertices)), shape
    )
    tooth, dark = np.array([0.85, 0.80, 0.72]), np.array([0.20, 0.12, 0.10])
    image = np.tile(np.array([0.75, 0.56, 0.46]), (*shape, 1)).astype(np.float32)
    image[opening] = tooth
    image[opening & (distance_to(~opening) < 1.5)] = 0.6 * tooth  # under the lip
    image[opening & (distance_to(~opening) < 1.2)] = np.array([0.72, 0.5, 0.48])  # mixed with it
    middle = int(np.nonzero(opening.any(0))[0].mean())
    gap = opening & (np.abs(np.arange(512) - middle)[None] < 1)
    image[gap] = dark
    full, skin = np.ones(shape, np.float32), (~opening).astype(np.float32)
    look = Appearance(image, full, skin, full, 0 * full, 0 * full, image, opening, full > 0)
    layers = [
        photographed_teeth(geometry, look, opening, np.random.default_rng(seed))
        for seed in range(4)  # a gap is one pixel wide: few Gaussians of each layer lie in it
    ]
    layer = layers[0]
    assert len(layer) > 100
    assert layer.gaussians.colors.mean(1).min() > 0.6 * tooth.mean()
    assert np.ptp(layer.gaussians.colors[:, :2], axis=1).max() < 2.5 * (tooth[0] - tooth[1])
    pixels = np.concatenate(
        [geometry.camera.project(one.gaussians.means).astype(int) for one in layers]
    )
    assert gap[pixels[:, 1], pixels[:, 0]].sum() > 12  # and no hole in their stead


@pytest.mark.parametrize("yaw", [-40.0, 17.0, 0.0])
def test_the_far_eye_of_a_turned_head_has_the_near_one_s_colours_mirrored(
    mean_head: PhotoGeometry, yaw: float
) -> None:
    turn = np.diag([1.0, -1.0, -1.0]) @ from_euler_degrees(yaw, 0.0, 0.0)
    rig, camera = mean_head.rig, mean_head.camera
    head = photo_geometry(camera, rig, rig.vertices, turn, mean_head.t_cam_head, mean_head.template)
    gaze, eyes = np.array([[0.2, -0.1], [0.2, -0.1]]), []
    rings = np.array(np.meshgrid(np.linspace(-0.6, 0.6, 25), np.linspace(-0.6, 0.6, 25)))
    local = np.concatenate([rings.reshape(2, -1).T, np.ones((625, 1))], 1)
    local /= np.linalg.norm(local, axis=1, keepdims=True)
    for side, eye in enumerate(EYES):
        outward = local @ gaze_rotation(gaze[side]).T
        means = rig.eye_centers[side] + rig.eye_radius * outward
        inner = local[:, 0] * (1 - 2 * side) < 0  # a darker inner half
        eyes.append(
            surface_layer(
                means @ turn.T + mean_head.t_cam_head,
                outward @ turn.T,
                np.full(625, 0.001),
                np.where(inner, 0.3, 0.8)[:, None] * np.array([1.0, 0.5 + 0.5 * side, 0.5]),
                Region.EYE,
                triangles=np.full(625, int(np.argmax(rig.parts == eye)), np.int32),
            )
        )
    told = with_far_eye_as_near(eyes, head, gaze)
    share = turned_share(head.yaw)
    far = int(head.yaw < 0)
    assert told[1 - far] is eyes[1 - far]
    pixelwise = eyes[far].gaussians.colors * np.where(np.arange(3) == 1, 0, 1)
    np.testing.assert_allclose(
        told[far].gaussians.colors * np.where(np.arange(3) == 1, 0, 1), pixelwise, atol=1e-5
    )
    green = told[far].gaussians.colors[:, 1] / told[far].gaussians.colors[:, 0]
    tints = 0.5 + 0.5 * np.array([0, 1])
    np.testing.assert_allclose(green, (1 - share) * tints[far] + share * tints[1 - far], atol=1e-4)
    np.testing.assert_allclose(told[far].color_freedom, 1 - share, atol=1e-6)


@pytest.mark.slow
def test_lips_have_no_gaps_in_an_open_mouth(astronaut_avatar: Avatar) -> None:
    avatar, half_open = astronaut_avatar, expression(jawOpen=0.5)
    skin = np.isin(avatar.regions, (Region.SKIN, Region.LIPS))
    painted = replace(
        avatar,
        colors=np.repeat(skin[:, None], 3, 1).astype(np.float32),
        correctives=no_correctives(),
    )
    pose = facing_pose(avatar)
    camera = close_up(avatar, pose, 0.5).resized(768, 768)
    stage = Stage(painted, camera, threads=2)
    drawn = stage.draw(acting(avatar, half_open, pose), background=(0.0, 0.0, 0.0))[..., 0]
    head = expressed(avatar.rig, with_resting_lids(avatar, half_open))
    marks = camera.project(landmarks_on(avatar, head) @ pose.R_cam_head.T + pose.t_cam_head)
    upper, lower = (
        polygon(marks[list(ring)], (768, 768)) for ring in (UPPER_LIP_RING, LOWER_LIP_RING)
    )
    shown = drawn[distance_to(~(upper | lower)) > 2]
    assert len(shown) > 10_000
    assert np.percentile(shown, 1) > 235
