from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from skimage.data import astronaut

from perse_live.detect import FaceDetector, VideoFaceDetector, detect_faces
from perse_live.errors import UserError
from perse_live.head.expressions import index

# Pupils of the astronaut's right and left eye, read off the picture
EYES_AT = np.array([[203.4, 101.0], [246.9, 103.6]])


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector(max_faces=3) as opened:
        yield opened


def test_the_astronaut_is_found_with_her_eyes_where_they_are(detector: FaceDetector) -> None:
    faces = detector.detect(astronaut())
    assert len(faces) == 1
    face = faces[0]
    assert (face.width, face.height) == (512, 512)
    assert face.landmarks.shape == (478, 3)
    np.testing.assert_allclose(face.landmarks[[468, 473], :2], EYES_AT, atol=2)
    assert 45 < face.eye_distance < 75
    assert face.blendshapes.shape == (52,)
    assert face.blendshapes[index("mouthSmileLeft")] > 0.5
    assert face.blendshapes[index("tongueOut")] == 0


def test_faces_come_largest_first(detector: FaceDetector) -> None:
    face = astronaut()[30:190, 145:305]
    picture = np.full((500, 840, 3), 128, np.uint8)
    picture[90:410, 10:330] = face.repeat(2, 0).repeat(2, 1)
    picture[10:490, 345:825] = face.repeat(3, 0).repeat(3, 1)
    found = detector.detect(picture)
    assert [one.landmarks[4, 0] > 340 for one in found] == [True, False]


def test_a_face_that_is_small_in_the_picture_is_found(detector: FaceDetector) -> None:
    picture = np.full((1400, 1400, 3), 128, np.uint8)
    picture[800:1312, 700:1212] = astronaut()
    found = detector.detect(picture)
    assert len(found) == 1
    np.testing.assert_allclose(
        found[0].landmarks[[468, 473], :2], EYES_AT + np.array([700, 800]), atol=5
    )


def test_no_face_is_an_empty_list(detector: FaceDetector) -> None:
    assert detector.detect(np.full((240, 320, 3), 90, np.uint8)) == []
    assert detector.detect(np.zeros((1, 1, 3), np.uint8)) == []


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
    ],
)
def test_another_kind_of_picture_is_a_user_error(
    detector: FaceDetector, picture: np.ndarray
) -> None:
    with pytest.raises(UserError, match="uint8 RGB"):
        detector.detect(picture)


def test_video_frames_with_standing_or_backward_time_are_taken() -> None:
    with VideoFaceDetector() as video:
        assert [len(video.detect(astronaut(), time)) for time in (0.0, 0.0, 1.0, 0.5)] == [
            1,
            1,
            1,
            1,
        ]
        assert video.detect(np.zeros((512, 512, 3), np.uint8), 2.0) == []


def test_a_closed_detector_says_so_and_closes_twice() -> None:
    detector = FaceDetector()
    detector.close()
    detector.close()
    with pytest.raises(RuntimeError, match="closed"):
        detector.detect(astronaut())


def test_one_shot_detection() -> None:
    assert len(detect_faces(astronaut())) == 1


def test_a_program_that_forgets_to_close_ends_in_silence() -> None:
    program = """
import numpy
from perse_live.detect import FaceDetector, VideoFaceDetector
photo, video = FaceDetector(), VideoFaceDetector()
photo.detect(numpy.zeros((99, 99, 3), numpy.uint8))
video.detect(numpy.zeros((99, 99, 3), numpy.uint8), 0.0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.slow
def test_a_detector_starts_without_matplotlib_and_leaves_it_importable() -> None:
    program = """
import sys
from perse_live.detect import FaceDetector
FaceDetector().close()
print([name for name in sys.modules if name.startswith("matplotlib")])
import matplotlib.pyplot
print(callable(matplotlib.pyplot.figure))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == ["[]", "True"]
