from __future__ import annotations

import numpy as np
import pytest
from skimage.data import astronaut

from perse_live.evaluation.unseen import UnseenFrame, changed_part, unseen_scores

BARE = np.ascontiguousarray(astronaut()[:200, 100:300])


def with_patch(shade: int) -> np.ndarray:
    picture = BARE.copy()
    picture[50:100, 50:100] = shade
    return picture


def frame(taught: np.ndarray, learnt: np.ndarray) -> UnseenFrame:
    return UnseenFrame(changed_part(BARE, taught), taught, learnt)


def test_what_is_learnt_exactly_has_the_best_figures() -> None:
    scores = unseen_scores([frame(with_patch(20), with_patch(20))])
    assert (scores.psnr, scores.part_psnr) == (60, 60)
    assert scores.ssim == pytest.approx(1) and scores.part_ssim == pytest.approx(1)


def test_the_part_is_judged_by_itself() -> None:
    """An error of 30 of 255 on a sixteenth of the picture: 12 dB more over the whole of it."""
    scores = unseen_scores([frame(with_patch(200), with_patch(230))])
    assert scores.part_psnr == pytest.approx(20 * np.log10(255 / 30), abs=0.05)
    assert scores.psnr == pytest.approx(scores.part_psnr + 10 * np.log10(16), abs=0.2)
    assert scores.part_ssim < scores.ssim < 1


def test_a_look_that_changes_nothing_has_figures_too_and_nothing_has_none() -> None:
    assert unseen_scores([frame(BARE, BARE)]).part_psnr == 60
    with pytest.raises(ValueError, match="no pictures"):
        unseen_scores([])
