from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.portrait import Portrait
from offline.segment.photo_bottom import with_continued_bottom
from perse_live.camera import Camera
from perse_live.detect import Detection


def _portrait(last_row: int, slope: float = 0.0) -> Portrait:
    """Stripes of clothes, in a photo that ends at a row; its edge falls by `slope` pixels a column. The chin is at row 300."""
    landmarks = np.full((478, 3), 256, np.float32)
    landmarks[:, 1] = np.linspace(150, 300, 478)
    landmarks[152, 1] = 300
    landmarks[[33, 263], 0] = 256 - 57.5, 256 + 57.5
    landmarks[[33, 263], 1] = 200
    detection = Detection(
        landmarks, np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 512, 512
    )
    rows, columns = np.mgrid[0:512, 0:512]
    rgb = np.where((columns // 64 % 2)[..., None] > 0, 200, 40).repeat(3, 2).astype(np.uint8)
    valid = rows < last_row + slope * columns
    rgb[~valid] = 255
    return Portrait(rgb, valid, np.zeros_like(valid), detection, Camera.for_image(512, 512), ())


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_clothes_go_on_to_the_frame_s_lower_edge(slope: float) -> None:
    portrait = _portrait(420, slope)
    whole = with_continued_bottom(portrait)
    assert whole.valid.all()
    np.testing.assert_array_equal(whole.made_up, ~portrait.valid)
    np.testing.assert_array_equal(whole.rgb[portrait.valid], portrait.rgb[portrait.valid])
    middles = np.arange(32, 512, 64)
    np.testing.assert_allclose(
        whole.rgb[425 + np.ceil(slope * middles).astype(int), middles].astype(int),
        portrait.rgb[400, middles],
        atol=3,
    )
    across = np.abs(np.diff(whole.rgb[:, 40:470, 0].astype(int), axis=1)).max(1)
    assert across[510] < 0.2 * across[400], "the stripes get softer downwards"


def test_a_photo_that_reaches_the_edge_or_ends_at_the_chin_stays_as_it_is() -> None:
    for portrait in (_portrait(512), _portrait(340)):
        assert with_continued_bottom(portrait) is portrait


def test_columns_beside_the_photo_stay_outside() -> None:
    portrait = _portrait(420)
    valid = portrait.valid.copy()
    valid[:, :50] = False
    whole = with_continued_bottom(replace(portrait, valid=valid))
    assert not whole.valid[:, :50].any()
    assert whole.valid[:, 50:].all()


def test_columns_that_end_at_the_side_of_a_tilted_photo_stay_as_they_are() -> None:
    portrait = _portrait(420)
    valid = portrait.valid.copy()
    valid[3:, :30] = False
    tilted = replace(portrait, valid=valid)
    whole = with_continued_bottom(tilted)
    np.testing.assert_array_equal(whole.rgb[:, :30], portrait.rgb[:, :30])
    assert not whole.made_up[:, :30].any()
    assert whole.valid[:, 30:].all()
