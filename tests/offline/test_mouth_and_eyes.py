from __future__ import annotations

import numpy as np
import pytest

from offline.eyes import eye_openings
from offline.geometry import PhotoGeometry
from offline.mouth import mouth_opening
from perse_live.head.expressions import expression
from perse_live.head.landmarks import load_landmark_model, mesh_landmarks
from perse_live.head.rig import expressed


@pytest.mark.slow
def test_openings_grow_with_the_mouth_and_shrink_with_the_lids(mean_head: PhotoGeometry) -> None:
    def landmarks(**actions: float) -> np.ndarray:
        head = expressed(mean_head.rig, expression(**actions)) @ mean_head.R_cam_head.T + mean_head.t_cam_head
        return mean_head.camera.project(mesh_landmarks(load_landmark_model(), head))

    shape = (512, 512)
    rest, talking = mouth_opening(landmarks(), shape), mouth_opening(landmarks(jawOpen=0.7), shape)
    assert talking.sum() > 4 * rest.sum()
    open_eyes, closed = eye_openings(landmarks(), shape), eye_openings(landmarks(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), shape)
    assert open_eyes.sum() > 1.8 * closed.sum()  # of closed eyes the line between the lids is left
    assert not (open_eyes & talking).any()
