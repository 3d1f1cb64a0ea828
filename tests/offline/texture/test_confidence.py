"""A photo is believed where the rig lies on the face that it shows."""

from __future__ import annotations

import numpy as np

from offline.rig.photo_geometry import PhotoGeometry
from offline.texture.confidence import registration
from perse_live.head.landmarks import LIPS, load_landmark_model, mesh_landmarks


def test_lips_that_lie_beside_the_photo_s_are_not_coloured_by_it(mean_head: PhotoGeometry) -> None:
    model = load_landmark_model()
    found = mean_head.camera.project(mesh_landmarks(model, mean_head.vertices))
    marks = mesh_landmarks(model, mean_head.template)
    fits = registration(mean_head, found, marks, 1.0)
    np.testing.assert_array_equal(fits, 1)
    lips = [number for number in LIPS if marks[number, 0] > 0.01]
    found[lips, 0] += 10
    off = registration(mean_head, found, marks, 1.0)
    assert off[lips].max() < 0.3
    assert off[[33, 263, 10, 1]].min() == 1  # eyes, forehead, nose
    # A photo five times as large
    assert registration(mean_head, found, marks, 5.0)[lips].min() == 1
