from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from perse_live.errors import UserError
from runtime.background import (
    Color,
    Picture,
    Transparent,
    lay_over,
    load_background,
    parse_background,
    straight_alpha,
)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("000000", Color(0, 0, 0)),
        ("#00ff7F", Color(0, 255, 127)),
        ("alpha", Transparent()),
        ("Alpha", Transparent()),
    ],
)
def test_colours_and_alpha_are_understood(text: str, meaning: object) -> None:
    assert parse_background(text) == meaning


@pytest.mark.parametrize("text", ["", "12345", "1234567", "gggggg", "nowhere.png", ".", "#000"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="RRGGBB"):
        parse_background(text)


def test_a_picture_covers_the_frame_and_is_cut_evenly(tmp_path: Path) -> None:
    stripes = np.zeros((40, 120, 3), np.uint8)
    stripes[:, 40:80] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    background = parse_background(str(tmp_path / "stripes.png"))
    assert isinstance(background, Picture)
    image = load_background(background, 60, 60)
    assert image.shape == (60, 60, 3)
    assert image[:, 5:55].min() > 250  # the middle third fills the square


def test_a_colour_fills_the_frame() -> None:
    image = load_background(Color(1, 2, 3), 5, 4)
    assert image.shape == (4, 5, 3)
    assert (image == [1, 2, 3]).all()


def test_a_text_file_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match=r"text\.png: not a picture"):
        load_background(Picture(tmp_path / "text.png"), 8, 8)


@given(alpha=st.integers(0, 255), color=st.integers(0, 255), behind=st.integers(0, 255))
def test_over_is_what_porter_and_duff_say(alpha: int, color: int, behind: int) -> None:
    premultiplied = round(color * alpha / 255)
    drawn = np.array([[[premultiplied, premultiplied, premultiplied, alpha]]], np.uint8)
    laid = lay_over(drawn, np.full((1, 1, 3), behind, np.uint8))
    expected = premultiplied + (1 - alpha / 255) * behind
    assert np.abs(laid.astype(float) - expected).max() <= 1


@given(alpha=st.integers(1, 255), color=st.integers(0, 255))
def test_straight_colours_are_as_they_were_before_alpha(alpha: int, color: int) -> None:
    premultiplied = round(color * alpha / 255)
    straight = straight_alpha(np.array([[[premultiplied, 0, 0, alpha]]], np.uint8))
    assert straight[0, 0, 3] == alpha
    assert abs(int(straight[0, 0, 0]) - color) <= np.ceil(255 / alpha / 2)
