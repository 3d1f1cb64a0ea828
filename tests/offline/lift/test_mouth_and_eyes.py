from __future__ import annotations

import numpy as np
import pytest

from offline.images import distance_to
from offline.lift.mouth import photographed_teeth
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import eye_openings, mouth_opening
from perse_live.head.expressions import expression
from perse_live.head.landmarks import load_landmark_model, mesh_landmarks
from perse_live.head.rig import expressed


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
def test_the_photo_s_teeth_carry_neither_the_dark_between_them_nor_the_lip_s_shade(
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
    middle = int(np.nonzero(opening.any(0))[0].mean())
    gap = opening & (np.abs(np.arange(512) - middle)[None] < 1)
    image[gap] = dark
    full, skin = np.ones(shape, np.float32), (~opening).astype(np.float32)
    look = Appearance(image, full, full, skin, full, 0 * full, 0 * full, image, opening, full > 0)
    layer = photographed_teeth(geometry, look, opening, np.random.default_rng(0))
    assert len(layer) > 100
    assert layer.gaussians.colors.mean(1).min() > 0.6 * tooth.mean()
    pixels = geometry.camera.project(layer.gaussians.means).astype(int)
    assert gap[pixels[:, 1], pixels[:, 0]].sum() > 3  # and no hole in their stead
