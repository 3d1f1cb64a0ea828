from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perse_live.arrays import UInt8Array
from perse_live.camera import Camera
from runtime.live.framing import View, camera_of, view_of

SIDES = st.integers(64, 960).map(lambda half: 2 * half)
VIEWS = st.builds(
    lambda center, top, tall: View(center, top, top + tall),
    st.floats(-0.3, 0.3),
    st.floats(-0.3, 0.4),
    st.floats(0.45, 1.2),
)


def person(height: int, width: int, *, left: int, top: int, wide: int, end: int) -> UInt8Array:
    """Alpha of a person: a box for the head, a wider one for the shoulders below it."""
    alpha = np.zeros((height, width), np.uint8)
    middle = (top + end) // 2
    alpha[top : middle + 1, left : left + wide] = 255
    alpha[middle + 1 : end, max(0, left - wide // 2) : left + wide + wide // 2] = 255
    return alpha


@given(
    st.integers(200, 600),
    st.integers(200, 600),
    st.floats(0.1, 0.7),
    st.floats(0, 0.3),
    st.floats(0.1, 0.3),
    st.floats(0.8, 1),
)
def test_the_head_is_in_the_middle_with_air_above_and_no_end_below(
    height: int, width: int, left: float, top: float, wide: float, end: float
) -> None:
    alpha = person(
        height,
        width,
        left=round(left * width),
        top=round(top * height),
        wide=round(wide * width),
        end=round(end * height),
    )
    view = view_of(alpha)
    rows = np.nonzero(alpha.any(1))[0]
    assert view.top * height <= rows[0], "the whole head"
    assert rows[0] < view.bottom * height < rows[-1] + 1, (
        "the person goes on below the picture's edge"
    )
    assert view.bottom - view.top >= 0.45 - 1e-9
    head = np.nonzero(alpha[rows[0]])[0]
    assert view.center * height == pytest.approx((head[0] + head[-1] + 1) / 2 - width / 2, abs=1e-6)


def test_nobody_is_framed_as_the_photo_was() -> None:
    assert view_of(np.zeros((300, 400), np.uint8)) == View(0.0, 0.0, 1.0)
    specks = np.zeros((300, 400), np.uint8)
    specks[10, 10] = 255
    assert view_of(specks) == View(0.0, 0.0, 1.0)


@given(VIEWS, SIDES, SIDES, SIDES, SIDES)
def test_the_camera_shows_the_view_from_top_to_bottom(
    view: View, photo_width: int, photo_height: int, width: int, height: int
) -> None:
    source = Camera.for_image(photo_width, photo_height)
    camera = camera_of(source, view, width, height)
    assert (camera.width, camera.height) == (width, height)
    assert camera.fx / camera.fy == pytest.approx(source.fx / source.fy)
    middle = source.width / 2 + view.center * source.height
    for y, row in ((view.top, 0), (view.bottom, height)):
        point = np.array(
            [(middle - source.cx) / source.fx, (y * source.height - source.cy) / source.fy, 1.0]
        )
        shown = np.array([camera.fx * point[0] + camera.cx, camera.fy * point[1] + camera.cy])
        np.testing.assert_allclose(shown, [width / 2, row], atol=1e-6 * max(width, height) + 1e-6)


def test_the_whole_photo_is_the_photos_camera() -> None:
    source = Camera.for_image(640, 480)
    camera = camera_of(source, View(0.0, 0.0, 1.0), 640, 480)
    np.testing.assert_allclose(
        [camera.fx, camera.fy, camera.cx, camera.cy], [source.fx, source.fy, source.cx, source.cy]
    )
