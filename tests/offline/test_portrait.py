from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rendered_hand import with_hand

from hypothesis_profiles import examples
from offline.portrait import SIDE, Portrait, find_portrait
from perse_live.arrays import UInt8Array
from perse_live.assets import asset_path
from perse_live.detect import detect_faces
from perse_live.errors import UserError
from perse_live.photo import Photo, load_photo
from pictures import stored_for


def photo(rgb: UInt8Array) -> Photo:
    return Photo(np.ascontiguousarray(rgb), "0" * 64, "me.jpg")


def scaled(rgb: UInt8Array, factor: float) -> UInt8Array:
    return np.asarray(
        cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
    )


@pytest.fixture(scope="module")
def astronaut() -> UInt8Array:
    return np.asarray(skimage.data.astronaut())


@pytest.fixture(scope="module")
def portrait(astronaut: UInt8Array) -> Portrait:
    return find_portrait(photo(astronaut))


def test_a_good_portrait_is_cut_out_without_complaint(portrait: Portrait) -> None:
    assert portrait.rgb.shape == (SIDE, SIDE, 3)
    assert portrait.rgb.dtype == np.uint8
    assert portrait.warnings == ()
    landmarks = portrait.detection.landmarks[:, :2]
    size = np.ptp(landmarks, 0).max()
    assert 0.3 * SIDE < size < 0.5 * SIDE  # room for hair and shoulders
    assert np.abs(landmarks.mean(0) - SIDE / 2).max() < 0.2 * SIDE
    assert (portrait.camera.width, portrait.camera.height) == (SIDE, SIDE)


def test_only_real_pixels_are_valid(portrait: Portrait) -> None:
    assert 0.5 < portrait.valid.mean() < 1  # the astronaut's hair touches the photo's upper edge
    assert portrait.valid[
        portrait.detection.landmarks[:, 1].astype(int),
        portrait.detection.landmarks[:, 0].astype(int),
    ].all()
    rows = portrait.valid.any(1)
    beyond = portrait.rgb[~rows]
    assert len(beyond) == 0 or (np.ptp(beyond.astype(int), axis=0) <= 2).all()  # the edge repeated


@pytest.mark.slow
@pytest.mark.parametrize("picture", ["cat", "coffee"])
def test_without_a_human_face_there_is_no_portrait(picture: str) -> None:
    with pytest.raises(UserError, match=r"^me\.jpg: no human face found; use [^\n]*$"):
        find_portrait(photo(np.asarray(getattr(skimage.data, picture)())))


@pytest.mark.slow
def test_of_two_faces_the_larger_is_taken_and_said_so(
    astronaut: UInt8Array, portrait: Portrait
) -> None:
    canvas = np.full((512, 800, 3), 90, np.uint8)
    # Mirrored, to tell it from the larger one
    canvas[:384, :384] = scaled(astronaut, 0.75)[:, ::-1]
    canvas[:, 388:] = astronaut[:, 50:462]
    found = find_portrait(photo(canvas))
    assert any("2 faces" in warning for warning in found.warnings)
    assert face_difference(portrait, found) < 6
    assert face_difference(find_portrait(photo(astronaut[:, ::-1])), found) > 18


def face_difference(one: Portrait, other: Portrait) -> float:
    """Mean difference of two faces' pixels, brought to the same place and size by their landmarks; grey levels."""
    faces = [portrait.detection.landmarks[:, :2] for portrait in (one, other)]
    (low, size), (there, other_size) = ((face.min(0), np.ptp(face, 0)) for face in faces)
    scale = other_size / size
    matrix = np.column_stack([np.diag(scale), there - low * scale])
    moved = cv2.warpAffine(one.rgb, matrix, (SIDE, SIDE))
    left, top = there.astype(int)
    right, bottom = (there + other_size).astype(int)
    window = np.s_[top:bottom, left:right]
    return float(np.abs(moved[window].astype(int) - other.rgb[window]).mean())


def test_a_small_face_in_a_large_picture_is_found_with_a_warning(astronaut: UInt8Array) -> None:
    canvas = np.full((1000, 1400, 3), 120, np.uint8)
    small = scaled(astronaut, 0.5)
    canvas[300:556, 900:1156] = small
    found = find_portrait(photo(canvas))
    assert any("px across" in warning for warning in found.warnings)
    assert 0.3 * SIDE < np.ptp(found.detection.landmarks[:, :2], 0).max() < 0.5 * SIDE


def test_a_large_picture_gives_the_same_portrait(astronaut: UInt8Array, portrait: Portrait) -> None:
    found = find_portrait(
        photo(
            np.asarray(
                cv2.resize(astronaut, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8
            )
        )
    )
    np.testing.assert_allclose(
        found.detection.landmarks[:, :2], portrait.detection.landmarks[:, :2], atol=4
    )
    both = found.valid & portrait.valid
    assert np.abs(found.rgb.astype(int) - portrait.rgb)[both].mean() < 8


def canvas_with(rgb: UInt8Array, degrees: float) -> UInt8Array:
    """A picture turned clockwise by any angle on a grey canvas that holds all of it."""
    height, width = rgb.shape[:2]
    side = int(np.hypot(height, width)) + 2
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
    matrix[:, 2] += [(side - width) / 2, (side - height) / 2]
    return np.asarray(
        cv2.warpAffine(
            rgb, matrix, (side, side), flags=cv2.INTER_CUBIC, borderValue=(120, 120, 120)
        ),
        np.uint8,
    )


@pytest.fixture(scope="module")
def upright(astronaut: UInt8Array) -> Portrait:
    return find_portrait(photo(canvas_with(astronaut, 0)))


@pytest.mark.slow
@examples(20)
@given(roll=st.floats(-180, 180), orientation=st.integers(1, 8))
def test_turned_by_any_angle_and_stored_in_any_orientation_it_is_the_same_portrait(
    astronaut: UInt8Array, upright: Portrait, roll: float, orientation: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "me.png"
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored_for(canvas_with(astronaut, roll), orientation)).save(path, exif=exif)
        found = find_portrait(load_photo(path))
    away = np.abs(found.detection.landmarks[:, :2] - upright.detection.landmarks[:, :2])
    assert away.mean() < 4
    assert face_difference(upright, found) < 8


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_sideways_photo_is_put_upright_and_that_is_said(
    astronaut: UInt8Array, portrait: Portrait, quarters: int
) -> None:
    found = find_portrait(photo(np.rot90(astronaut, quarters)))
    assert any("put upright" in warning for warning in found.warnings)
    assert np.abs(found.detection.landmarks[:, :2] - portrait.detection.landmarks[:, :2]).mean() < 3


def lit(factor: float) -> Callable[[UInt8Array], UInt8Array]:
    return lambda rgb: np.clip(rgb * factor, 0, 255).astype(np.uint8)


def noisy(rgb: UInt8Array) -> UInt8Array:
    return np.clip(rgb + np.random.default_rng(0).normal(0, 12, rgb.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lit(0.12), ["dark"]),
        (lit(0.27), ["dark"]),
        (lit(1.8), ["overexposed"]),
        (lambda rgb: lit(0.25)(rgb) + 195, ["overexposed"]),
        (lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 3), ["blurred"]),
        (noisy, ["grainy"]),
        (lambda rgb: lit(0.3)(cv2.GaussianBlur(rgb, (0, 0), 3)), ["blurred", "dark"]),
        (lit(0.7), []),
    ],
)
def test_what_harms_the_result_is_said_and_nothing_else(
    astronaut: UInt8Array, spoil: Callable[[UInt8Array], UInt8Array], what: list[str]
) -> None:
    warnings = find_portrait(photo(spoil(astronaut))).warnings
    assert len(warnings) == len(what)
    assert all(word in warning for word, warning in zip(what, warnings, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at", "degrees", "before"),
    [((-0.25, 0.35), 20, True), ((0.0, 0.45), 85, True), ((-0.7, 0.5), 10, False)],
)
def test_a_hand_before_the_face_is_said_and_one_beside_it_is_not(
    astronaut: UInt8Array, at: tuple[float, float], degrees: float, before: bool
) -> None:
    asset_path("hand_landmarker")
    landmarks = detect_faces(astronaut)[0].landmarks[:, :2]
    warnings = find_portrait(
        photo(with_hand(astronaut, landmarks, at=at, degrees=degrees))
    ).warnings
    assert any("a hand is before the face" in one for one in warnings) == before


@pytest.mark.parametrize("cut", [np.s_[:, 200:], np.s_[:150]], ids=["cheek", "chin"])
def test_a_face_that_is_partly_outside_the_photo_is_said(
    astronaut: UInt8Array, cut: tuple[slice, ...] | slice
) -> None:
    warnings = find_portrait(photo(astronaut[cut])).warnings
    assert any("a part of the face is outside the photo" in one for one in warnings)


def test_only_the_face_is_judged(astronaut: UInt8Array) -> None:
    """A window behind, a black room around: the face is well lit all the same."""
    found = find_portrait(photo(astronaut))
    face = np.zeros(astronaut.shape[:2], np.uint8)
    cv2.circle(face, (222, 105), 85, 1, -1)  # the astronaut's head
    for wall in (0, 255):
        alone = np.where(face[..., None] > 0, astronaut, np.uint8(wall))
        assert find_portrait(photo(alone)).warnings == found.warnings == ()


def test_a_bust_reaches_the_frame_s_lower_edge_if_the_head_need_not_stand_much_lower(
    astronaut: UInt8Array,
) -> None:
    bust = astronaut[:300, 60:390]  # the frame reaches beyond the photo above and below
    found = find_portrait(photo(bust))
    assert found.valid[-1].any()
    # The photo's upper edge, a little aslant in the level portrait
    assert found.valid[0].mean() < 0.6
    assert np.abs(found.detection.landmarks[:, :2].mean(0) - SIDE / 2).max() < 0.25 * SIDE
