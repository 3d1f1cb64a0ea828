from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perse_live.arrays import UInt8Array
from runtime.live.badge import stamp

CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


def plain(height: int, width: int, grey: int = 200) -> UInt8Array:
    return np.full((height, width, 3), grey, np.uint8)


@given(st.integers(128, 700), st.integers(128, 700), st.sampled_from(CORNERS), st.integers(0, 255))
def test_it_is_in_its_corner_and_nowhere_else(
    height: int, width: int, place: str, grey: int
) -> None:
    image = plain(height, width, grey)
    stamp(image, place)
    rows, columns = np.nonzero((image != grey).any(2))
    assert len(rows), "the badge can be seen on any grey"
    vertical, horizontal = place.split("-")
    assert rows.max() < height / 4 if vertical == "top" else rows.min() > 3 * height / 4
    middle = (columns.min() + columns.max()) / 2
    assert middle < width / 2 if horizontal == "left" else middle > width / 2
    assert (
        rows.min() > 0
        and columns.min() > 0
        and rows.max() < height - 1
        and columns.max() < width - 1
    )


@pytest.mark.parametrize("grey", [0, 255])
def test_it_can_be_read_on_black_and_on_white(grey: int) -> None:
    image = plain(512, 512, grey)
    stamp(image, "bottom-right")
    inside = image[-45:-10, -110:-10].astype(int)
    assert inside.max() > 220 and inside.min() < 130


def test_off_changes_nothing_and_neither_does_a_thumbnail_without_room() -> None:
    for image, place in (
        (plain(512, 512), "off"),
        (plain(16, 16), "bottom-right"),
        (plain(200, 24), "top-left"),
    ):
        stamp(image, place)
        assert (image == 200).all()


def test_what_lies_under_it_shines_through_the_pill_only() -> None:
    dark, light = plain(512, 512, 40), plain(512, 512, 220)
    stamp(dark, "top-left")
    stamp(light, "top-left")
    changed = (dark != 40).any(2)
    np.testing.assert_array_equal(changed, (light != 220).any(2))
    assert (dark <= light).all()
