from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.gaussian_layer import Layer, surface_layer
from offline.refine.below_frame import with_strip_below
from perse_live.camera import Camera
from perse_live.regions import Region
from perse_live.splatting import CpuRasterizer

CAMERA = Camera.for_image(512, 512)


def _shoulders(lowest: float) -> np.ndarray:
    """Places of a plane's Gaussians, down to a row of the picture."""
    x, y = np.meshgrid(np.arange(100.0, 400, 4), np.arange(350.0, lowest, 4))
    pixels = np.stack([x, y], -1).reshape(-1, 2)
    return CAMERA.unproject(pixels, np.full(len(pixels), 0.9))


def test_clothes_have_no_edge_where_the_body_rises() -> None:
    means = _shoulders(512)
    layer = surface_layer(
        means,
        np.tile([0, 0, -1.0], (len(means), 1)),
        np.full(len(means), 0.66 * 4 * 0.9 / CAMERA.fx),
        np.full((len(means), 3), 0.5),
        Region.CLOTHES,
    )
    below = with_strip_below(layer, CAMERA, 1.0)
    assert len(below) - len(layer) <= 900
    rise = np.array([0, 25 * 0.9 / CAMERA.fy, 0], np.float32)

    def lowest_row(drawn: Layer) -> np.ndarray:
        moved = replace(drawn.gaussians, means=drawn.gaussians.means - rise)
        alpha = CpuRasterizer(512, 512, threads=1).render_rgba(moved, CAMERA)[..., 3]
        return np.asarray(alpha[505, 120:380])

    assert lowest_row(layer).max() < 20
    assert lowest_row(below).min() > 235


def test_a_person_who_ends_above_the_frame_is_not_continued() -> None:
    means = _shoulders(480)
    layer = surface_layer(
        means,
        np.tile([0, 0, -1.0], (len(means), 1)),
        np.full(len(means), 0.004),
        np.full((len(means), 3), 0.5),
        Region.CLOTHES,
    )
    assert len(with_strip_below(layer, CAMERA, 1.0)) == len(layer)


def test_stripes_of_the_lowest_strip_fade_with_the_distance_below_it() -> None:
    means = _shoulders(512)
    striped = np.where((CAMERA.project(means)[:, 0] // 12 % 2 == 0)[:, None], 0.9, 0.1)
    layer = surface_layer(
        means,
        np.tile([0, 0, -1.0], (len(means), 1)),
        np.full(len(means), 0.004),
        np.repeat(striped, 3, 1),
        Region.CLOTHES,
    )
    copies = with_strip_below(layer, CAMERA, 1.0).gaussians.colors[len(layer) :]
    contrasts = [float(np.ptp(colors)) for colors in np.split(copies, 4)]
    assert contrasts == sorted(contrasts, reverse=True)
    assert contrasts[0] < 0.7
    assert contrasts[-1] < 0.15
