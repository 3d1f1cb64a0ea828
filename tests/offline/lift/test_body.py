"""The rig's shoulders, under clothes and below photos that end at the throat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.gaussian_layer import COVERAGE
from offline.lift.body import body_layer
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from offline.segment.appearance import Appearance
from perse_live.splatting.cpu import CpuRasterizer

EVEN = np.zeros(512, np.float32)  # the photo's outline is the rig's


def _low(mean_head: PhotoGeometry, row: float) -> PhotoGeometry:
    """The average head so far down that its eyes lie in a row."""
    return photo_geometry(
        replace(mean_head.camera, cy=row),
        mean_head.rig,
        mean_head.rig.vertices,
        mean_head.R_cam_head,
        mean_head.t_cam_head,
        mean_head.template,
    )


def test_shoulders_below_the_photo_are_fine_only_where_it_ends(mean_head: PhotoGeometry) -> None:
    geometry = _low(mean_head, 400.0)  # the photo ends at the throat
    ones, colors = np.ones((512, 512), np.float32), np.full((512, 512, 3), 0.5, np.float32)
    nowhere, valid = np.zeros((512, 512), np.bool_), np.ones((512, 512), np.bool_)
    valid[506:] = False
    look = Appearance(colors, ones, ones, ones, 0 * ones, 0 * ones, colors, nowhere, valid)
    body = body_layer(geometry, look, 2 * ones, ones < 0, EVEN, True, 1.0, np.random.default_rng(0))
    spacing = body.gaussians.scales[:, 0] / (1.3 * COVERAGE) * geometry.pixels_per_metre
    rows = geometry.camera.project(body.gaussians.means)[:, 1]
    assert np.median(spacing[(rows > 505) & (rows < 518)]) < 4
    assert (rows > 600).sum() > 200
    assert np.median(spacing[rows > 600]) > 6


def test_made_up_shoulders_go_on_beside_a_thin_neck(mean_head: PhotoGeometry) -> None:
    """Else the collar at the nape, which the neck hides in the photo, floats above them when the head turns."""
    geometry = _low(mean_head, 340.0)
    ones, colors = np.ones((512, 512), np.float32), np.full((512, 512, 3), 0.5, np.float32)
    nowhere, valid = np.zeros((512, 512), np.bool_), np.ones((512, 512), np.bool_)
    valid[511:] = False
    alpha = ones.copy()
    alpha[400:, :190] = alpha[400:, 320:] = 0
    look = Appearance(colors, alpha, ones, ones, 0 * ones, 0 * ones, colors, nowhere, valid)
    body = body_layer(geometry, look, 2 * ones, ones < 0, EVEN, True, 1.0, np.random.default_rng(0))
    x, y = geometry.camera.project(body.gaussians.means).T
    beside = (x < 205) & (x > 150)
    below, above = (
        (beside & (y > low) & (y < high)).sum() for low, high in ((500, 525), (460, 485))
    )
    assert above > 0.3 * below > 0


def test_a_shoulder_that_the_photo_shows_bare_has_no_shirt_behind_it(
    mean_head: PhotoGeometry,
) -> None:
    geometry = _low(mean_head, 150.0)
    person = np.ones((512, 512), np.float32)
    right_half = np.arange(512)[None] >= 256
    below = np.arange(512)[:, None] > 260
    clothes = (right_half & below).astype(np.float32)
    colors = np.where(clothes[..., None] > 0, np.float32(0.1), np.float32(0.8)).repeat(3, 2)
    valid = person > 0
    look = Appearance(
        colors, person, 1 - clothes, person, 0 * person, clothes, colors, ~valid, valid
    )
    body = body_layer(
        geometry, look, 0 * person, clothes > 0, EVEN, False, 1.0, np.random.default_rng(0)
    )
    x, y = geometry.camera.project(body.gaussians.means).T
    light = body.gaussians.colors.mean(1)
    low = y > 300
    assert np.median(light[low & (x > 290)]) < 0.2
    assert light[low & (x < 220)].min() > 0.5


def _photo_to_the_throat(alpha: np.ndarray, clothes: np.ndarray, last: int) -> Appearance:
    """Light skin and dark clothes in a photo that ends above a row."""
    colors = np.where(clothes[..., None] > 0, np.float32(0.1), np.float32(0.8)).repeat(3, 2)
    valid = np.broadcast_to(np.arange(512)[:, None] < last, (512, 512))
    return Appearance(
        colors, alpha, 1 - clothes, alpha, 0 * alpha, clothes, colors, ~(alpha > 0), valid
    )


def _is_light(look: Appearance, geometry: PhotoGeometry, shift: np.ndarray) -> np.ndarray:
    """(512, 512) NaN where no Gaussian is, else whether the foremost one in front is light."""
    body = body_layer(
        geometry,
        look,
        np.full((512, 512), 9, np.float32),
        look.clothes > 0,
        shift,
        False,
        1.0,
        np.random.default_rng(0),
    ).gaussians
    x, y = geometry.camera.project(body.means).T
    shown = np.full((512, 512), np.nan)
    inside = (x > 0) & (x < 512) & (y > 0) & (y < 512)
    order = np.argsort(-body.means[:, 2])
    order = order[inside[order]]
    shown[y[order].astype(int), x[order].astype(int)] = body.colors[order].mean(1) > 0.45
    return shown


def test_a_photo_that_ends_at_the_throat_goes_on_as_a_round_neckline(
    mean_head: PhotoGeometry,
) -> None:
    geometry, ones = _low(mean_head, 300.0), np.ones((512, 512), np.float32)
    last = 440
    clothes = np.broadcast_to(np.abs(np.arange(512) - 256) > 40, (512, 512)).astype(np.float32)
    clothes = clothes * (np.arange(512)[:, None] > 400)
    light = _is_light(_photo_to_the_throat(ones, clothes, last), geometry, EVEN)
    assert np.nanmean(light[last + 2 : last + 14, 246:266]) > 0.8
    assert np.nanmean(light[last + 40 : last + 60, 246:266]) < 0.1
    assert np.nanmean(light[last + 2 : last + 60, 300:330]) < 0.1
    # an arc: less deep towards its ends
    assert np.nanmean(light[last + 12 : last + 20, 284:292]) < 0.5


def test_shoulders_below_the_photo_follow_its_outline(mean_head: PhotoGeometry) -> None:
    geometry, ones = _low(mean_head, 300.0), np.ones((512, 512), np.float32)
    clothes = (np.arange(512)[:, None] > 400) * ones
    look = _photo_to_the_throat(ones, clothes, 440)
    tops = [
        np.array(
            [
                np.flatnonzero(np.isfinite(light[:, x : x + 8]).any(1)).min()
                for x in range(372, 428, 8)
            ]
        )
        for light in (
            _is_light(look, geometry, np.full(512, shift, np.float32)) for shift in (0, 20)
        )
    ]
    assert np.abs(np.median(tops[1] - tops[0]) - 20) < 4


def test_the_rigs_body_does_not_show_beside_a_person_narrower_than_it(
    mean_head: PhotoGeometry,
) -> None:
    geometry, ones = _low(mean_head, 150.0), np.ones((512, 512), np.float32)
    valid, nowhere = ones > 0, ones < 0
    clothes = (np.arange(512)[:, None] > 260) * ones
    alpha = (np.abs(np.arange(512) - 256) < 60) * ones
    colors = np.full((512, 512, 3), 0.5, np.float32)
    look = Appearance(colors, alpha, 1 - clothes, ones, 0 * ones, clothes, colors, nowhere, valid)
    body = body_layer(
        geometry, look, 0 * ones, clothes > 0, EVEN, False, 1.0, np.random.default_rng(0)
    )
    raster = CpuRasterizer(512, 512, threads=1)
    shown = raster.render_float(body.gaussians, geometry.camera, background=(0, 0, 0))[..., 3]
    assert shown[300:, 220:290].mean() > 0.9
    assert shown[300:, 322:].max() < 0.1  # at x = 316 the person ends
