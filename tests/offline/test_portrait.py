from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import skimage.data

from offline.portrait import SIDE, Portrait, find_portrait
from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.photo import Photo


def photo(rgb: UInt8Array) -> Photo:
    return Photo(np.ascontiguousarray(rgb), "0" * 64, "me.jpg")


def scaled(rgb: UInt8Array, factor: float) -> UInt8Array:
    return np.asarray(cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


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
    assert portrait.valid[portrait.detection.landmarks[:, 1].astype(int), portrait.detection.landmarks[:, 0].astype(int)].all()
    rows = portrait.valid.any(1)
    beyond = portrait.rgb[~rows]
    assert len(beyond) == 0 or (np.ptp(beyond.astype(int), axis=0) <= 2).all()  # the edge repeated


@pytest.mark.parametrize("picture", ["cat", "coffee"])
def test_without_a_human_face_there_is_no_portrait(picture: str) -> None:
    with pytest.raises(UserError, match=r"^me\.jpg: no human face found; use [^\n]*$"):
        find_portrait(photo(np.asarray(getattr(skimage.data, picture)())))


def test_of_two_faces_the_larger_is_taken_and_said_so(astronaut: UInt8Array, portrait: Portrait) -> None:
    canvas = np.full((512, 800, 3), 90, np.uint8)
    canvas[:384, :384] = scaled(astronaut, 0.75)[:, ::-1]  # mirrored, to tell it from the larger one
    canvas[:, 388:] = astronaut[:, 50:462]
    found = find_portrait(photo(canvas))
    assert any("2 faces" in warning for warning in found.warnings)
    one, two, mirrored = (_normalised(face) for face in (portrait, found, find_portrait(photo(astronaut[:, ::-1]))))
    assert np.abs(one - two).mean() < 0.006
    assert np.abs(mirrored - two).mean() > 0.012


def _normalised(portrait: Portrait) -> np.ndarray:
    """Landmarks freed of place and size."""
    landmarks = portrait.detection.landmarks[:, :2]
    return (landmarks - landmarks.mean(0)) / np.ptp(landmarks, 0).max()


def test_a_small_face_in_a_large_picture_is_found_with_a_warning(astronaut: UInt8Array) -> None:
    canvas = np.full((1000, 1400, 3), 120, np.uint8)
    small = scaled(astronaut, 0.5)
    canvas[300:556, 900:1156] = small
    found = find_portrait(photo(canvas))
    assert any("px across" in warning for warning in found.warnings)
    assert 0.3 * SIDE < np.ptp(found.detection.landmarks[:, :2], 0).max() < 0.5 * SIDE


def test_a_large_picture_gives_the_same_portrait(astronaut: UInt8Array, portrait: Portrait) -> None:
    found = find_portrait(photo(np.asarray(cv2.resize(astronaut, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8)))
    np.testing.assert_allclose(found.detection.landmarks[:, :2], portrait.detection.landmarks[:, :2], atol=4)
    both = found.valid & portrait.valid
    assert np.abs(found.rgb.astype(int) - portrait.rgb)[both].mean() < 8


@pytest.mark.parametrize(("spoil", "what"), [
    (lambda rgb: (rgb * 0.12).astype(np.uint8), "dark"),
    (lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 3), "blurred"),
    (lambda rgb: np.clip(rgb.astype(float) * 0.25 + 195, 0, 255).astype(np.uint8), "overexposed"),
])
def test_what_harms_the_result_is_said(astronaut: UInt8Array, spoil: Callable[[UInt8Array], UInt8Array],
                                        what: str) -> None:
    assert any(what in warning for warning in find_portrait(photo(spoil(astronaut))).warnings)


def test_a_bust_reaches_the_frame_s_lower_edge_if_the_head_need_not_stand_much_lower(astronaut: UInt8Array) -> None:
    bust = astronaut[:300, 60:390]  # the frame reaches beyond the photo above and below
    found = find_portrait(photo(bust))
    assert found.valid[-1].any()
    assert not found.valid[0].any()
    assert np.abs(found.detection.landmarks[:, :2].mean(0) - SIDE / 2).max() < 0.25 * SIDE
