from __future__ import annotations

import numpy as np

from offline.binding import with_bounded_axes
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.animate import SurfaceBinding
from perse_live.head.expressions import expression
from perse_live.head.rig import Part, expressed


def _lengths(
    surface: SurfaceBinding, rig_triangles: np.ndarray, vertices: np.ndarray
) -> np.ndarray:
    corners = vertices[rig_triangles[surface.triangles]]
    return np.linalg.norm(
        surface.axes.reshape(-1, 2, 2) @ (corners[:, 1:] - corners[:, :1]), axis=2
    )


def test_no_gaussian_is_a_needle_at_rest_or_with_wide_open_eyes(mean_head: PhotoGeometry) -> None:
    rig = mean_head.rig
    rows = np.nonzero(rig.parts == Part.SKIN)[0][::9].astype(np.int32)
    count = len(rows)
    axes = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    surface = SurfaceBinding(
        rows,
        np.full((count, 3), 1 / 3, np.float32),
        axes,
        np.full(count, 1e-4, np.float32),
        np.zeros(count, np.uint8),
    )
    limits = np.full(count, 0.004)
    bounded = with_bounded_axes(surface, rig, limits)
    for posed in (expression(), expression(eyeWideLeft=1, eyeWideRight=1)):
        vertices = expressed(rig, posed)
        assert _lengths(surface, rig.triangles, vertices).max() > 0.01
        assert _lengths(bounded, rig.triangles, vertices).max() < 0.004 * 1.001
    short = with_bounded_axes(surface, rig, np.full(count, 10.0))
    np.testing.assert_array_equal(short.axes, axes)
