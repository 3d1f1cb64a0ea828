from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from splat_scenes import cameras, reference_image, scenes

from hypothesis_profiles import examples
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting import CpuRasterizer
from perse_live.splatting.contributions import contributions


@examples(40)
@given(scenes(), cameras())
def test_together_they_are_the_pictures_alpha(gaussians: Gaussians, camera: Camera) -> None:
    alpha = CpuRasterizer(camera.width, camera.height, threads=1).render_float(
        gaussians, camera, background=(0, 0, 0)
    )[..., 3]
    inside = (np.arange(camera.width) % 3 / 2 * np.ones((camera.height, 1))).astype(np.float32)
    drawn = contributions(gaussians, camera, inside)
    assert drawn.shape == (len(gaussians),) and (drawn >= 0).all()
    np.testing.assert_allclose(drawn.sum(), (alpha * inside).sum(), rtol=1e-3, atol=1e-3)


@examples(10)
@given(scenes(max_count=6), cameras())
def test_each_is_what_the_reference_draws_of_it_alone(gaussians: Gaussians, camera: Camera) -> None:
    """A Gaussian of colour 1 among others of colour 0 leaves in the picture what it draws."""
    found = contributions(gaussians, camera)
    for number in range(len(gaussians)):
        colors = np.zeros_like(gaussians.colors)
        colors[number] = 1
        picture = reference_image(replace(gaussians, colors=colors), camera, (0.0, 0.0, 0.0))
        np.testing.assert_allclose(found[number], picture[..., 0].sum(), rtol=2e-3, atol=2e-2)
