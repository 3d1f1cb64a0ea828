from __future__ import annotations

import numpy as np

from offline.images import dilate, erode
from offline.lift.covered_body import CoveredBody, covered_body, covered_layer
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from perse_live.arrays import BoolArray
from perse_live.head.rig import Part
from perse_live.regions import Region

CHIN, DRESS, HAIR = 330.0, np.array([0.6, 0.1, 0.2]), np.array([0.1, 0.08, 0.05])
COLUMNS = np.arange(512)[None]
HANGS = (np.abs(np.abs(COLUMNS - 256) - 90) < 30) & (np.arange(512)[:, None] < 490)


def _body(head: PhotoGeometry) -> BoolArray:
    return head.part_map(Part.BODY)


def _covered(head: PhotoGeometry, person: BoolArray) -> tuple[CoveredBody, BoolArray]:
    """Hair that hangs before both shoulders of somebody in a dress. person: (H, W) without it."""
    rows = np.arange(512)[:, None]
    hair = HANGS & (rows > 150)
    dressed = person & (rows > CHIN) & ~hair
    image = np.where(hair[..., None], HAIR, np.where(dressed[..., None], DRESS, 0.7))
    ones, nowhere = np.ones((512, 512), np.float32), np.zeros((512, 512), np.bool_)
    alpha = (person | hair).astype(np.float32)
    look = Appearance(
        image.astype(np.float32),
        alpha,
        (alpha * ~hair * ~dressed).astype(np.float32),
        ones,
        hair.astype(np.float32),
        dressed.astype(np.float32),
        np.broadcast_to(HAIR.astype(np.float32), (512, 512, 3)),
        nowhere,
        ~nowhere,
    )
    return covered_body(head, look, hair, dressed, CHIN, 1.0), hair


def test_shoulders_behind_hair_are_whole_and_dressed_as_beside_it(mean_head: PhotoGeometry) -> None:
    body = _body(mean_head)
    covered, hair = _covered(mean_head, mean_head.seen.covered)
    below = np.arange(512)[:, None] > CHIN + 2
    behind = hair & erode(body, 3) & below
    assert behind.sum() > 5000
    assert covered.mask[behind].all()
    assert not covered.mask[~dilate(body, 3)].any()
    np.testing.assert_allclose(
        covered.image[behind], np.broadcast_to(DRESS, (behind.sum(), 3)), atol=0.02
    )
    layer = covered_layer(mean_head, covered, np.random.default_rng(0))
    assert (layer.regions == Region.CLOTHES).mean() > 0.95
    x, y = mean_head.camera.project(layer.gaussians.means).astype(int).T
    assert covered.mask[y, x].mean() > 0.75  # the rest is under the edge of what is seen
    assert np.isfinite(covered.depth[y, x]).mean() > 0.95


def test_their_outline_goes_on_as_that_beside_the_hair(mean_head: PhotoGeometry) -> None:
    body = _body(mean_head)
    rows, lower = np.arange(512)[:, None], 20
    person = mean_head.seen.covered & ~(
        body & ~np.roll(body, lower, 0) & (np.abs(COLUMNS - 256) > 60)
    )
    covered, _ = _covered(mean_head, person)
    column = 256 + 118  # next to the hair's outer edge
    assert (
        np.ptp([np.argmax(mask[:, column]) for mask in (covered.mask, person & (rows > CHIN))]) < 8
    )


def test_nothing_lies_behind_hair_above_the_shoulders(mean_head: PhotoGeometry) -> None:
    covered, _ = _covered(mean_head, mean_head.seen.covered & (np.arange(512)[:, None] < CHIN))
    assert not covered.mask.any()
    assert not len(covered_layer(mean_head, covered, np.random.default_rng(0)))
