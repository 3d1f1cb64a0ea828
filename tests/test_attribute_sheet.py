from __future__ import annotations

from dataclasses import replace

import numpy as np

from attribute_toys import toy_attribute
from runtime.attribute_sheet import attribute_sheet, way_sheet
from runtime.tiles import CAPTION, GAP, HEADING, MARGIN, TITLE
from toys import toy_avatar

TILE = 220
BACKDROP = (217, 219, 222)


def test_every_attribute_comes_in_turns_and_talks() -> None:
    toy = toy_avatar()
    avatar = replace(
        toy,
        attributes=(
            toy_attribute(toy, "hat", "hat", changed=600),
            toy_attribute(toy, "nose", "nose", seed=1),
        ),
    )
    sheet = attribute_sheet(avatar, avatar.attributes)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert (
        sheet.shape[0] - attribute_sheet(avatar, avatar.attributes[:1]).shape[0]
        == HEADING + TILE + CAPTION + GAP
    )

    def tile(row: int, column: int) -> np.ndarray:
        top = MARGIN + TITLE + HEADING + row * (HEADING + TILE + CAPTION + GAP)
        left = MARGIN + column * (TILE + GAP)
        return sheet[top : top + TILE, left : left + TILE].astype(int)

    for row in range(2):
        changes = [np.abs(tile(row, column) - tile(row, 0)).mean() for column in range(5)]
        assert changes == sorted(changes) and changes[1] > 0
        for other in (5, 6):
            assert np.abs(tile(row, other) - tile(row, 4)).mean() > 1
    np.testing.assert_array_equal(tile(0, 0), tile(1, 0))
    assert (tile(0, 4) != tile(1, 4)).any()


def test_eyes_are_seen_from_nearer_than_a_hat() -> None:
    toy = toy_avatar()
    avatar = replace(
        toy, attributes=(toy_attribute(toy, "hat", "hat"), toy_attribute(toy, "blue", "eyes"))
    )
    sheet = attribute_sheet(avatar, avatar.attributes)
    wide, near = (
        sheet[top : top + TILE, MARGIN : MARGIN + TILE]
        for top in (MARGIN + TITLE + HEADING, MARGIN + TITLE + 2 * HEADING + TILE + CAPTION + GAP)
    )
    empty = [(np.abs(tile.astype(int) - BACKDROP).max(2) < 3).mean() for tile in (wide, near)]
    assert empty[1] < 0.8 * empty[0]


def test_a_way_leads_from_look_to_look() -> None:
    toy = toy_avatar()
    looks = (
        toy_attribute(toy, "hat", "hat", changed=600),
        toy_attribute(toy, "cap", "hat", seed=1),
    )
    avatar = replace(toy, attributes=looks)
    sheet = way_sheet(avatar, looks)

    def tile(leg: int, row: int, column: int) -> np.ndarray:
        high = TILE + CAPTION + GAP
        top = MARGIN + TITLE + leg * (HEADING + 2 * high) + HEADING + row * high
        left = MARGIN + column * (TILE + GAP)
        return sheet[top : top + TILE, left : left + TILE].astype(int)

    for row in range(2):  # from the front, and turned
        np.testing.assert_array_equal(tile(0, row, 8), tile(1, row, 0))
        for leg in range(2):
            from_the_start = [
                np.abs(tile(leg, row, k) - tile(leg, row, 0)).mean() for k in range(9)
            ]
            assert from_the_start == sorted(from_the_start) and from_the_start[1] > 0
    assert np.abs(tile(0, 0, 0) - tile(0, 1, 0)).mean() > 1
