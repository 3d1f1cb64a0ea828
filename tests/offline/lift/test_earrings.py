from __future__ import annotations

import numpy as np
import pytest

from offline.images import dilate
from offline.lift.earrings import earring_layer, loose_pieces, without_pieces
from offline.priors import ON_EAR
from offline.rig.anny_head import chart, load_anny_head
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from perse_live.arrays import BoolArray, Float32Array
from perse_live.regions import Region

Y, X = np.mgrid[0:512, 0:512] + 0.5


@pytest.fixture(scope="module")
def ears() -> Float32Array:
    return chart(load_anny_head(), "ears")


def lobe(head: PhotoGeometry, ears: Float32Array, side: int) -> tuple[float, float, float]:
    """Column and row, pixels, and depth, metres."""
    ear = np.nonzero((ears > ON_EAR) & (head.template[:, 0] * side > 0))[0]
    lowest = ear[head.to_head(head.vertices)[ear, 1].argmin()]
    x, y = head.camera.project(head.vertices[[lowest]])[0]
    return float(x), float(y), float(head.vertices[lowest, 2])


def drop(x: float, y: float, half_width: float, length: float) -> BoolArray:
    """A piece that hangs from (x, y), with a hole in its middle."""
    middle = np.hypot((X - x) / half_width, (Y - y - length / 2) / (length / 2))
    return (middle < 1) & (middle > 0.3)


def person(shape: BoolArray) -> Appearance:
    ones, nowhere = np.ones(shape.shape, np.float32), np.zeros(shape.shape, np.bool_)
    picture = np.full((*shape.shape, 3), 0.5, np.float32)
    of_hair = shape.astype(np.float32)
    return Appearance(
        picture, ones, 1 - of_hair, ones, of_hair, 0 * ones, picture, nowhere, ~nowhere
    )


def test_an_earring_is_flat_at_the_lobe_and_the_head_s_hair_is_none(
    mean_head: PhotoGeometry, ears: Float32Array
) -> None:
    x, y, depth = lobe(mean_head, ears, 1)
    crown, earring = y - 45 > Y, drop(x + 3, y - 1, 8, 34)
    loose, at = loose_pieces(mean_head, crown | earring, Y > 500, ears, 1.0)
    np.testing.assert_array_equal(loose, np.isfinite(at))
    assert (loose & earring).sum() == earring.sum() < loose.sum()  # with its hole
    assert not (loose & crown).any()
    np.testing.assert_allclose(at[loose], depth)
    layer = earring_layer(mean_head, person(earring), at, 1.0, np.random.default_rng(0))
    assert len(layer) > 20 and (layer.regions == Region.ACCESSORY).all()
    np.testing.assert_allclose(layer.gaussians.means[:, 2], depth, atol=1e-5)
    pixels = mean_head.camera.project(layer.gaussians.means).astype(int)
    assert not mean_head.seen.covered[pixels[:, 1], pixels[:, 0]].all()
    bare = without_pieces(person(earring), loose, 1.0)
    np.testing.assert_array_equal(bare.alpha == 0, dilate(loose, 2.4))


@pytest.mark.parametrize("kind", ["curl", "lock", "at the edge"])
def test_hair_below_an_ear_stays_hair(
    mean_head: PhotoGeometry, ears: Float32Array, kind: str
) -> None:
    x, y, _ = lobe(mean_head, ears, -1)
    wide, long = drop(x - 3, y - 1, 30, 40), (abs(X - x) < 6) & (y < Y) & (Y < 450)
    hair = {"curl": wide, "lock": long, "at the edge": (X < 9) & (Y > 480)}[kind]
    loose, depth = loose_pieces(mean_head, hair, Y > 451, ears, 1.0)
    assert not loose.any() and not np.isfinite(depth).any()


def test_a_narrow_piece_away_from_the_lobe_is_left_out(
    mean_head: PhotoGeometry, ears: Float32Array
) -> None:
    x, y, _ = lobe(mean_head, ears, -1)
    shadow = drop(x + 40, y + 30, 6, 30)
    loose, depth = loose_pieces(mean_head, shadow, Y > 500, ears, 1.0)
    assert (loose & shadow).sum() == shadow.sum()
    assert not np.isfinite(depth).any()
    empty = earring_layer(mean_head, person(shadow), depth, 1.0, np.random.default_rng(0))
    assert len(empty) == 0
