from __future__ import annotations

import numpy as np

from offline.lift.skin import pulled_in
from offline.texture.skin_colors import ear_relief


def test_skin_that_reaches_out_is_pulled_in_and_what_is_far_off_stays() -> None:
    inside = np.zeros((60, 60), np.bool_)
    inside[:, :30] = True
    pixels = np.array([[10.5, 30.5], [31.0, 30.5], [35.5, 30.5], [50.5, 30.5]])
    moved = pulled_in(pixels, inside, 2.0, 8.0)
    np.testing.assert_array_equal(moved[[0, 1, 3]], pixels[[0, 1, 3]])
    assert 30.0 < moved[2, 0] < 32.5
    assert moved[2, 1] == 30.5


def test_the_hollow_of_an_ear_lies_in_shadow() -> None:
    x, y = (
        grid.ravel()
        for grid in np.meshgrid(np.linspace(-0.03, 0.03, 25), np.linspace(-0.03, 0.03, 25))
    )
    z = -0.008 * np.exp(-0.5 * (x**2 + y**2) / 0.006**2)
    means, normals = np.stack([x, y, z], 1), np.tile([0.0, 0.0, 1.0], (len(x), 1))
    shade = ear_relief(means, normals, np.ones(len(x)))
    middle, rim = np.hypot(x, y) < 0.003, np.hypot(x, y) > 0.025
    assert shade[middle].max() < 0.8
    assert shade[rim].min() > 0.95
    assert (ear_relief(means, normals, np.zeros(len(x))) == 1).all()
