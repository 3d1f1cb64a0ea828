from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from evaluation_faces import portrait

from perse_live.assets import FOLDER_VARIABLE
from perse_live.errors import UserError
from perse_live.evaluation.distribution import (
    WEIGHTS_NAME,
    distribution_distances,
    find_inception_weights,
)

if TYPE_CHECKING:
    import torch

needs_torchmetrics = pytest.mark.skipif(
    importlib.util.find_spec("torchmetrics") is None,
    reason="FID and KID are torchmetrics'; pip install perse-live[measure]",
)


def stand_in() -> torch.nn.Module:
    """Mean colours of 4 x 4 fields in Inception's place."""
    import torch

    class Fields(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(pictures.float() / 255, 4).flatten(1)

    return Fields()


@needs_torchmetrics
def test_sets_alike_are_near_and_others_far() -> None:
    first, second = ([portrait(shift=k) for k in range(start, 40, 2)] for start in (0, 1))
    dark = [(picture // 2) for picture in second]
    near = distribution_distances(first, second, network=stand_in())
    far = distribution_distances(first, dark, network=stand_in())
    assert near.fid < 0.05 < far.fid
    assert abs(near.kid) < far.kid


@needs_torchmetrics
def test_what_are_no_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_NAME).write_text("no weights")
    with pytest.raises(UserError, match=r"FID and KID need|does not hold the Inception"):
        distribution_distances([portrait()] * 2, [portrait()] * 2, weights=tmp_path / WEIGHTS_NAME)


def test_weights_are_found_in_the_user_s_folder_or_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert find_inception_weights() is None
    (tmp_path / WEIGHTS_NAME).write_bytes(np.zeros(4).tobytes())
    assert find_inception_weights() == tmp_path / WEIGHTS_NAME
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert find_inception_weights() is None
