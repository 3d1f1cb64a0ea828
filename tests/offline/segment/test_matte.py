from __future__ import annotations

import cv2
import numpy as np
import skimage.data

from offline.portrait import find_portrait
from offline.segment.matte import person_near_face, person_probability
from perse_live.photo import Photo


def test_a_dark_board_beside_hair_is_taken_less_for_it() -> None:
    portrait = find_portrait(Photo(np.asarray(skimage.data.astronaut()), "", "me.jpg"))
    person = person_probability(portrait.rgb)
    board = person < 0.05
    board[:60] = board[300:] = False
    board[:, :330] = board[:, 400:] = False
    rgb = portrait.rgb.copy()
    rgb[board] = 60, 35, 25
    rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 1.0), np.uint8)
    near = person_near_face(rgb, portrait.detection.landmarks[:, :2].mean(0), portrait.unit)
    assert near[board].mean() < 0.7 * person_probability(rgb)[board].mean()
    assert near[person > 0.95].mean() > 0.99
