"""Which skin out of sight grows hair."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from offline.texture.point_labels import points_round_the_side
from offline.texture.skin_points import SkinPoints


def _side(hair_above: float, dark_row: float) -> SkinPoints:
    """The left side of a head: a column of points at its outline that the photo shows, and one behind it.

    Hair above one height, metres, and in a row 3 mm high at another.
    """
    heights = np.arange(-0.024, 0.08, 0.001)
    rest = np.stack(
        [
            np.full(2 * len(heights), 0.07),
            np.tile(heights, 2),
            np.repeat([-0.005, -0.03], len(heights)),
        ],
        1,
    )
    hair = (rest[:, 1] > hair_above) | (np.abs(rest[:, 1] - dark_row) < 0.0015)
    count = len(rest)
    none = cast("Any", None)
    arrays = {name: np.zeros(count) for name in ("lips", "lids", "ears", "scalp")}
    return SkinPoints(
        on=none,
        means=none,
        normals=none,
        rest=rest.astype(np.float32),
        **cast("Any", arrays),
        pixels=none,
        inside=np.ones(count, np.bool_),
        facing=np.repeat([0.2, -0.5], len(heights)),
        front=np.repeat([True, False], len(heights)),
        observed=none,
        hair=hair.astype(np.float32),
        folded=none,
    )


def test_hair_of_the_temple_goes_on_to_the_ear() -> None:
    points = _side(hair_above=0.03, dark_row=-1.0)
    unseen = ~points.front
    covered = points_round_the_side(points)[unseen]
    height = points.rest[unseen, 1]
    assert covered[height > 0.04].all()
    assert not covered[height < 0.02].any()


def test_a_dark_row_below_bare_skin_is_no_hair() -> None:
    points = _side(hair_above=0.03, dark_row=0.0)
    wide = np.abs(points.rest[:, 1]) < 0.008
    points.hair[wide] = 1.0  # wide enough that most of its neighbours are dark
    unseen = ~points.front
    covered = points_round_the_side(points)[unseen]
    assert not covered[points.rest[unseen, 1] < 0.02].any()
    assert covered[points.rest[unseen, 1] > 0.04].all()
