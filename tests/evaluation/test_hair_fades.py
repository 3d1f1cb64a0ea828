from __future__ import annotations

import numpy as np
import pytest

from perse_live.arrays import UInt8Array
from perse_live.evaluation.hair_fades import hair_fade_scores


def mask(*boxes: tuple[int, int, int, int]) -> UInt8Array:
    """White boxes (top, bottom, left, right) on black, (200, 200, 3)."""
    picture = np.zeros((200, 200, 3), np.uint8)
    for top, bottom, left, right in boxes:
        picture[top:bottom, left:right] = 255
    return picture


HAIR, FACE, BAND = (20, 80, 40, 160), (80, 180, 60, 140), (60, 80, 60, 140)


def test_a_band_of_bare_forehead_that_neither_end_shows_is_counted() -> None:
    cut = mask((20, 60, 40, 160), (60, 80, 40, 60), (60, 80, 140, 160))
    hair, skin = [mask(HAIR), cut, mask(HAIR)], [mask(FACE), mask(FACE, BAND), mask(FACE)]
    scores = hair_fade_scores(hair, skin)
    assert scores.bared == pytest.approx(20 * 80 / (60 * 120))
    assert scores.pieces == 0


def test_hair_before_a_face_that_both_ends_show_is_counted() -> None:
    hair = [mask(HAIR), mask(HAIR, (100, 130, 80, 100)), mask(HAIR)]
    assert hair_fade_scores(hair, [mask(FACE)] * 3).strayed == pytest.approx(30 * 20 / (60 * 120))
    assert hair_fade_scores(hair, [mask(FACE), mask(FACE), mask()]).strayed == 0


def test_what_an_end_shows_bare_may_be_bare() -> None:
    shaved = [mask(HAIR), mask((20, 40, 40, 160)), mask()]
    skin = [mask(FACE), mask(FACE, (40, 80, 60, 140)), mask(FACE, HAIR)]
    assert hair_fade_scores(shaved, skin).bared == 0


def test_hair_in_pieces_is_counted_and_single_strands_are_not() -> None:
    pieces = mask(HAIR, (120, 140, 20, 40), (150, 152, 5, 7))
    skin = [mask(FACE)] * 3
    assert hair_fade_scores([mask(HAIR), pieces, mask(HAIR)], skin).pieces == 1
    assert hair_fade_scores([pieces, pieces, mask(HAIR)], skin).pieces == 0


def test_no_hair_has_figures_too_and_films_must_match() -> None:
    scores = hair_fade_scores([mask()] * 3, [mask(FACE)] * 3)
    assert (scores.bared, scores.pieces) == (0, 0)
    with pytest.raises(ValueError, match="3 pictures of hair and 2 of skin"):
        hair_fade_scores([mask()] * 3, [mask()] * 2)
