from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perse_live.detect import FaceDetector
from perse_live.photo import load_photo
from runtime.bench.studio import camera_picture
from runtime.studio.faces import advice


@pytest.mark.parametrize("size", [1.0, 0.6, 2.5])
def test_the_cameras_picture_is_one_that_the_page_takes(astronaut_photo: Path, size: float) -> None:
    rgb = np.asarray(cv2.resize(load_photo(astronaut_photo).rgb, None, fx=size, fy=size), np.uint8)
    with FaceDetector() as detector:
        picture = camera_picture(rgb, detector.detect(rgb)[0].landmarks)
        assert picture.shape == (480, 640, 3)
        assert advice(picture, detector.detect(picture), "front").hints == ()
