from __future__ import annotations

import cv2
import numpy as np
import skimage.data

from offline.portrait import find_portrait
from offline.segment.matte import person_near_face, person_probability, soft_matte
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
    middle = portrait.detection.landmarks[:, :2].mean(0)
    near = person_near_face(rgb, portrait.valid, middle, portrait.unit)
    assert near[board].mean() < 0.7 * person_probability(rgb)[board].mean()
    assert near[person > 0.95].mean() > 0.99


def test_a_wide_patch_little_like_a_person_is_background_but_a_narrow_one_may_be_an_earring() -> (
    None
):
    rgb = np.full((200, 200, 3), 230, np.uint8)
    mask = np.zeros((200, 200), np.float32)
    person, wide, narrow = np.s_[40:200, 60:110], np.s_[80:140, 110:180], np.s_[80:140, 48:60]
    for part, likely in ((person, 1.0), (wide, 0.4), (narrow, 0.4)):
        rgb[part], mask[part] = 40, likely
    face = np.zeros_like(mask, np.bool_)
    alpha, _ = soft_matte(rgb, mask, ~face, face, face, 1.0)
    assert alpha[90:130, 130:170].max() < 0.05
    assert alpha[90:130, 51:57].min() > 0.9
    assert alpha[60:190, 70:100].min() > 0.95
