"""A head's top that lies outside the photo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import skimage.data

from offline.portrait import Portrait, find_portrait
from offline.segment.head_top import with_head_top
from offline.segment.matte import person_probability
from perse_live.photo import Photo


def portrait_cut_at(row: int) -> Portrait:
    """The astronaut without what is above a row."""
    return find_portrait(Photo(np.ascontiguousarray(skimage.data.astronaut()[row:]), "", "me.jpg"))


def cheek_color(portrait: Portrait) -> np.ndarray:
    """(3,) of the skin."""
    columns, rows = portrait.detection.landmarks[[50, 280], :2].astype(int).T
    return np.median(portrait.rgb[rows, columns], 0)


def first_row(mask: np.ndarray) -> np.ndarray:
    """(W,) the highest row of each column; the height where there is none."""
    return np.where(mask.any(0), np.argmax(mask, 0), len(mask))


def test_a_head_that_is_all_there_stays_as_it_is() -> None:
    portrait = portrait_cut_at(0)
    assert with_head_top(portrait) is portrait


@pytest.mark.parametrize("row", [25, 40, 55, 70])
def test_a_cut_head_goes_on_round_and_that_is_said(row: int) -> None:
    cut = portrait_cut_at(row)
    whole = with_head_top(cut)
    assert whole.warnings == (
        *cut.warnings,
        "the top of the head is outside the photo, so it is guessed: use a photo with room"
        " above the head",
    )
    np.testing.assert_array_equal(whole.rgb[cut.valid], cut.rgb[cut.valid])
    assert (whole.valid >= cut.valid).all()
    person = person_probability(whole.rgb) > 0.5
    middle = round(float(cut.detection.landmarks[10, 0]))
    edge = int(np.argmax(cut.valid[:, middle]))
    top = first_row(person)
    face = float(np.ptp(cut.detection.landmarks[:, 1]))
    assert 0.1 * face < edge - top[middle] < 0.9 * face, "the head goes on above the cut, and ends"
    beside = round(0.28 * face)
    assert (top[[middle - beside, middle + beside]] > top[middle] + 0.02 * face).all(), (
        "its outline is round"
    )


def test_its_hair_has_the_color_of_the_hair_that_is_seen() -> None:
    astronaut = find_portrait(Photo(np.asarray(skimage.data.astronaut()), "", "me.jpg"))
    cut = portrait_cut_at(40)
    whole = with_head_top(cut)
    middle = round(float(cut.detection.landmarks[10, 0]))
    edge = int(np.argmax(cut.valid[:, middle]))
    drawn = np.median(whole.rgb[edge - 20 : edge - 6, middle - 20 : middle + 20].reshape(-1, 3), 0)
    hair_row, hair_column = np.round(astronaut.detection.landmarks[10, 1::-1]).astype(int)
    seen = np.median(
        astronaut.rgb[hair_row - 40 : hair_row - 15, hair_column - 20 : hair_column + 20].reshape(
            -1, 3
        ),
        0,
    )
    assert np.abs(drawn - seen).max() < 50
    assert np.abs(drawn - seen).sum() < 0.4 * np.abs(drawn - cheek_color(cut)).sum()


def test_hair_that_is_as_brown_as_skin_in_shadow_goes_on_as_hair() -> None:
    """Only strips beside the forehead are seen."""
    cut = portrait_cut_at(55)
    landmarks, skin = cut.detection.landmarks[:, :2], cheek_color(cut)
    auburn = 0.5 * skin
    rows, columns = np.arange(cut.rgb.shape[0]), np.arange(cut.rgb.shape[1])
    person = person_probability(cut.rgb) > 0.5
    beside = (columns < landmarks[:, 0].min()) | (columns > landmarks[:, 0].max())
    rgb = cut.rgb.copy()
    rgb[(rows < landmarks[105, 1])[:, None] & ~beside & person] = skin
    rgb[(rows < landmarks[152, 1])[:, None] & beside & person] = auburn
    whole = with_head_top(replace(cut, rgb=rgb))
    middle = round(float(landmarks[10, 0]))
    edge = int(np.argmax(cut.valid[:, middle]))
    drawn = np.median(whole.rgb[edge - 30 : edge - 15, middle - 15 : middle + 15].reshape(-1, 3), 0)
    assert np.abs(drawn - auburn).sum() < 0.5 * np.abs(drawn - skin).sum()


def test_a_bald_head_goes_on_with_skin() -> None:
    cut = portrait_cut_at(55)
    landmarks, skin = cut.detection.landmarks[:, :2], cheek_color(cut)
    columns, rows = np.arange(cut.rgb.shape[1]), np.arange(cut.rgb.shape[0])
    beside = (columns < landmarks[:, 0].min() - 4) | (columns > landmarks[:, 0].max() + 4)
    rgb = cut.rgb.copy()
    rgb[(rows < landmarks[105, 1] - 8)[:, None] & ~beside] = skin  # no fringe
    rgb[(rows < landmarks[152, 1])[:, None] & beside] = (150, 170, 160)  # a wall where hair was
    whole = with_head_top(replace(cut, rgb=rgb))
    middle = round(float(landmarks[10, 0]))
    edge = int(np.argmax(cut.valid[:, middle]))
    drawn = np.median(whole.rgb[edge - 12 : edge - 3, middle - 15 : middle + 15].reshape(-1, 3), 0)
    assert np.abs(drawn - skin).max() < 20
