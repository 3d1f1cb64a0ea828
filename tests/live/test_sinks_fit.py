from __future__ import annotations

import numpy as np
import pytest
from live_frames import drawn, mean_error, picture, two_up

from runtime.sinks.fit import letterboxed, opaque_picture, two_up_picture


def test_a_picture_that_fits_is_passed_on_unchanged() -> None:
    image = picture(3)
    assert letterboxed(image, 128, 96) is image


def test_a_view_comes_out_contiguous() -> None:
    image = letterboxed(picture(3)[:, ::2], 64, 96)
    assert image.flags.c_contiguous


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (256, 96, (0, 96, 64, 192)),  # wider: bars left and right
        (128, 200, (52, 148, 0, 128)),  # higher: bars above and below
        (256, 192, (0, 192, 0, 256)),  # larger, of the same shape
        (64, 48, (0, 48, 0, 64)),  # smaller
        (1280, 720, (0, 720, 160, 1120)),
    ],
)
def test_the_whole_picture_is_scaled_into_the_middle(
    width: int, height: int, box: tuple[int, int, int, int]
) -> None:
    framed = letterboxed(picture(0), width, height)
    assert framed.shape == (height, width, 3)
    assert framed.dtype == np.uint8
    top, bottom, left, right = box
    inside = framed[top:bottom, left:right]
    assert mean_error(inside, picture(0, right - left, bottom - top)) < 1.5
    outside = np.ones((height, width), np.bool_)
    outside[top:bottom, left:right] = False
    assert not framed[outside].any()


def test_bars_begin_on_even_pixels() -> None:
    framed = letterboxed(np.full((96, 126, 3), 255, np.uint8), 130, 96)
    lit = np.nonzero(framed[0, :, 0])[0]
    assert (lit[0], lit[-1] + 1) == (2, 128)


def test_extreme_shapes_keep_at_least_a_line() -> None:
    assert letterboxed(np.full((2, 4000, 3), 255, np.uint8), 64, 64).any()
    assert letterboxed(np.full((4000, 2, 3), 255, np.uint8), 64, 64).any()


def test_of_a_matte_the_avatar_is_shown() -> None:
    image = picture(1)
    np.testing.assert_array_equal(opaque_picture(drawn(two_up(image, 77), matte=True)), image)
    np.testing.assert_array_equal(opaque_picture(drawn(image)), image)


def test_a_plain_frame_as_a_matte_is_opaque() -> None:
    image = picture(1)
    np.testing.assert_array_equal(two_up_picture(drawn(image)), two_up(image, 255))
    matte = drawn(two_up(image, 77), matte=True)
    assert two_up_picture(matte) is matte.image
