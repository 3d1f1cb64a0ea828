from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from perse_live.arrays import UInt8Array
from perse_live.detect import Detection, detect_faces
from perse_live.follow import FaceFollower

FACE = detect_faces(astronaut())[0]
CENTRE, HEIGHT = FACE.landmarks[:, :2].mean(0), float(np.ptp(FACE.landmarks[:, 1]))


def with_faces(width: int, height: int, *faces: tuple[float, float, float, bool]) -> UInt8Array:
    """A grey picture with people: each face by its centre and height, pixels, and whether it is the mirrored person."""
    picture = np.full((height, width, 3), 118, np.uint8)
    for x, y, high, mirrored in faces:
        scale = high / HEIGHT
        person, centre = astronaut()[:330, 60:390], CENTRE - [60, 0]
        if mirrored:
            person, centre = (
                np.ascontiguousarray(person[:, ::-1, ::-1]),
                np.array([330 - centre[0], centre[1]]),
            )
        small = cv2.resize(
            person,
            None,
            fx=scale,
            fy=scale,
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        left, top = round(x - centre[0] * scale), round(y - centre[1] * scale)
        x0, y0, x1, y1 = (
            max(left, 0),
            max(top, 0),
            min(left + small.shape[1], width),
            min(top + small.shape[0], height),
        )
        picture[y0:y1, x0:x1] = small[y0 - top : y1 - top, x0 - left : x1 - left]
    return picture


def off(face: Detection | None, x: float, y: float) -> float:
    """Pixels from a found face's centre to where it should be."""
    assert face is not None
    return float(np.linalg.norm(face.landmarks[:, :2].mean(0) - (x, y)))


@pytest.mark.parametrize(
    ("width", "height", "share"), [(1280, 720, 0.042), (1280, 720, 0.083), (1920, 1080, 0.05)]
)
def test_a_far_face_is_found_in_the_first_picture_and_followed_across_it(
    width: int, height: int, share: float
) -> None:
    high = share * height
    with FaceFollower() as follower:
        for step in range(25):
            x, y = 0.2 * width + 0.3 * high * step, 0.7 * height - 0.1 * high * step
            face = follower.update(with_faces(width, height, (x, y, high, False)), step / 25)
            assert off(face, x, y) < 0.15 * high
            assert face is not None and (face.width, face.height) == (width, height)
            assert np.ptp(face.landmarks[:, 1]) == pytest.approx(high, rel=0.2)


def test_a_face_that_comes_near_is_followed_without_a_gap() -> None:
    with FaceFollower() as follower:
        for step in range(40):
            high = 40 * 1.06**step
            face = follower.update(
                with_faces(1280, 720, (640, 360, min(high, 380), False)), step / 25
            )
            assert off(face, 640, 360) < 0.12 * high


def test_a_far_face_that_comes_later_is_found_within_a_second() -> None:
    with FaceFollower(windows=8) as follower:
        for step in range(3):
            assert follower.update(with_faces(1280, 720), step / 25) is None
        found = [
            follower.update(with_faces(1280, 720, (900, 250, 50, False)), (3 + step) / 25)
            is not None
            for step in range(26)
        ]
    assert any(found)
    assert all(found[found.index(True) :])


@pytest.mark.slow
def test_who_was_followed_is_kept_while_another_leans_in() -> None:
    with FaceFollower() as follower:
        for step in range(30):
            other = (500.0, 250.0, 130.0 + 7 * step, True)
            picture = with_faces(720, 480, other, (150, 240, 150, False))
            assert off(follower.update(picture, step / 25), 150, 240) < 20


@pytest.mark.slow
def test_two_far_people_are_told_apart() -> None:
    with FaceFollower() as follower:
        first = follower.update(with_faces(1280, 720, (500, 300, 60, False)), 0.0)
        assert off(first, 500, 300) < 10
        for step in range(1, 20):
            picture = with_faces(1280, 720, (640 - 2 * step, 310, 70, True), (500, 300, 60, False))
            assert off(follower.update(picture, step / 25), 500, 300) < 10


@pytest.mark.slow
@pytest.mark.parametrize("sway", [0.0, 0.05])
def test_a_still_face_on_a_poster_gives_way_to_a_person_and_a_far_person_does_not(
    sway: float,
) -> None:
    face, x = None, 900.0
    with FaceFollower() as follower:
        for step in range(110):  # 4.4 seconds; after 2 of them somebody comes near
            x = 900 + 60 * sway * float(np.sin(step / 4))
            near = [(300.0, 400.0, 300.0, True)] if step > 50 else []
            face = follower.update(with_faces(1280, 720, *near, (x, 250, 60, False)), step / 25)
            if step <= 50 or sway:
                assert off(face, x, 250) < 10
        assert off(face, *((x, 250) if sway else (300, 400))) < 25


def test_after_a_reset_the_largest_is_followed() -> None:
    both = with_faces(720, 480, (500, 250, 200, True), (150, 240, 150, False))
    with FaceFollower() as follower:
        follower.update(with_faces(720, 480, (150, 240, 150, False)), 0.0)
        assert off(follower.update(both, 0.04), 150, 240) < 20
        follower.reset()
        assert off(follower.update(both, 0.08), 500, 250) < 20


def test_pictures_that_are_seconds_apart_are_seen_as_single_ones() -> None:
    def pictures() -> Iterator[UInt8Array]:
        for place in (200, 230, 260):
            yield with_faces(720, 480, (place, 240, 150, False))

    with FaceFollower(independent=True) as follower:
        for number, picture in enumerate(pictures()):
            face = follower.update(picture, 0.2 * number)
            assert face is not None
            with FaceFollower(independent=True) as fresh:
                alone = fresh.update(picture, 0.0)
            assert alone is not None
            np.testing.assert_array_equal(face.landmarks, alone.landmarks)


def test_pictures_may_change_their_size() -> None:
    with FaceFollower() as follower:
        assert (
            off(follower.update(with_faces(1280, 720, (900, 300, 50, False)), 0.0), 900, 300) < 10
        )
        assert (
            off(follower.update(with_faces(640, 480, (320, 240, 150, False)), 0.04), 320, 240) < 20
        )


@pytest.mark.slow
def test_pictures_may_change_their_size_while_nobody_is_there() -> None:
    with FaceFollower(windows=5) as follower:
        for step in range(12):
            assert follower.update(with_faces(1280, 720), step / 25) is None
        for step in range(12, 60):
            assert follower.update(with_faces(320, 240), step / 25) is None
