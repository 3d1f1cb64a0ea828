from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from splat_scenes import (
    NAMES,
    cameras,
    make_camera,
    make_gaussians,
    scenes,
    synthetic_head,
    tensors,
)

from hypothesis_profiles import examples
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting.autograd import splat
from perse_live.splatting.reference import rasterize_reference

BACKGROUND = (0.2, 0.9, 0.4)


def gradients(
    gaussians: Gaussians, camera: Camera, by_image: torch.Tensor, *, threads: int
) -> list[torch.Tensor]:
    leaves = tensors(gaussians, dtype=torch.float32)
    image = splat(*leaves, camera=camera, background=BACKGROUND, threads=threads)
    return list(torch.autograd.grad(image, leaves, by_image.float()))


def reference_gradients(
    gaussians: Gaussians, camera: Camera, by_image: torch.Tensor
) -> list[torch.Tensor]:
    leaves = tensors(gaussians, dtype=torch.float64)
    image = rasterize_reference(*leaves, camera=camera, background=BACKGROUND)
    # A graph even where nothing is seen
    image = image + 0 * torch.cat([leaf.reshape(-1) for leaf in leaves]).sum()
    return list(torch.autograd.grad(image, leaves, by_image))


def random_gradient(camera: Camera, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).normal(size=(camera.height, camera.width, 4))
    )


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got - expected).norm() / expected.norm().clamp_min(1e-12))


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_every_gradient_of_a_head_is_the_references(threads: int) -> None:
    """Relative error of each whole array; 5e-6 was measured."""
    gaussians, camera = synthetic_head(1500, 96, 80)
    by_image = random_gradient(camera)
    for name, got, expected in zip(
        NAMES,
        gradients(gaussians, camera, by_image, threads=threads),
        reference_gradients(gaussians, camera, by_image),
        strict=True,
    ):
        assert relative_error(got, expected) < 5e-5, name


@examples(40)
@given(scenes(max_count=25), cameras(), st.integers(0, 99))
def test_gradients_of_odd_scenes_are_the_references(
    gaussians: Gaussians, camera: Camera, seed: int
) -> None:
    """Compared Gaussian by Gaussian, so that a huge one hides no other."""
    by_image = random_gradient(camera, seed)
    for name, got, expected in zip(
        NAMES,
        gradients(gaussians, camera, by_image, threads=1),
        reference_gradients(gaussians, camera, by_image),
        strict=True,
    ):
        assert got.shape == expected.shape
        assert torch.isfinite(got).all(), name
        for row in range(len(expected)):
            assert (got[row] - expected[row]).norm() <= 5e-3 * expected[
                row
            ].norm() + 1e-3 * expected.abs().max() + 1e-6, name


def test_gradients_repeat_exactly_and_threads_change_only_rounding() -> None:
    gaussians, camera = synthetic_head(5000, 150, 140)
    by_image = random_gradient(camera)
    once, again, alone = (gradients(gaussians, camera, by_image, threads=n) for n in (2, 2, 1))
    for a, b, c in zip(once, again, alone, strict=True):
        assert torch.equal(a, b)
        assert relative_error(a, c) < 1e-5


def test_the_image_is_the_references() -> None:
    gaussians, camera = make_gaussians(["ordinary", "thin", "opaque"] * 30, 3), make_camera(70, 50)
    image = splat(
        *tensors(gaussians, dtype=torch.float32), camera=camera, background=BACKGROUND, threads=1
    )
    expected = rasterize_reference(
        *tensors(gaussians, dtype=torch.float64), camera=camera, background=BACKGROUND
    )
    assert image.dtype == torch.float32
    assert image.shape == (50, 70, 4)
    assert (image - expected).abs().max() < 1 / 255


def test_two_pictures_can_be_open_at_once() -> None:
    """Each graph keeps its own state: backward in either order gives the gradients of its own picture."""
    first, second = make_gaussians(["ordinary"] * 40, 1), make_gaussians(["ordinary"] * 40, 2)
    camera = make_camera(50, 40)
    by_image = random_gradient(camera)
    alone = [gradients(g, camera, by_image, threads=1) for g in (first, second)]
    leaves = [tensors(g, dtype=torch.float32) for g in (first, second)]
    images = [splat(*leaf, camera=camera, background=BACKGROUND, threads=1) for leaf in leaves]
    for image, leaf, expected in zip(images, leaves, alone, strict=True):
        for got, want in zip(
            torch.autograd.grad(image, leaf, by_image.float()), expected, strict=True
        ):
            assert torch.equal(got, want)


def test_fitting_colours_and_places_lowers_the_error() -> None:
    gaussians, camera = synthetic_head(400, 64, 64)
    leaves = tensors(gaussians, dtype=torch.float32)
    with torch.no_grad():
        target = splat(*leaves, camera=camera, background=BACKGROUND, threads=1)
        leaves[0] += 0.003 * torch.randn(
            leaves[0].shape, generator=torch.Generator().manual_seed(0)
        )
        leaves[4][:] = 0.5
    optimizer = torch.optim.Adam(
        [{"params": [leaves[0]], "lr": 2e-4}, {"params": [leaves[4]], "lr": 2e-2}]
    )
    errors: list[float] = []
    for _ in range(60):
        loss = (
            (splat(*leaves, camera=camera, background=BACKGROUND, threads=1) - target)
            .square()
            .mean()
        )
        errors.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]
    assert errors[-1] < 0.1 * errors[0]


def test_nothing_to_draw_has_no_gradients() -> None:
    camera = make_camera(20, 20)
    for gaussians in (make_gaussians([], 0), make_gaussians(["behind"] * 3, 0)):
        for name, gradient in zip(
            NAMES, gradients(gaussians, camera, random_gradient(camera), threads=1), strict=True
        ):
            assert gradient.shape == getattr(gaussians, name).shape
            assert not gradient.any()


def test_wrong_tensors_are_refused() -> None:
    camera = make_camera(20, 20)
    leaves = tensors(make_gaussians(["ordinary"] * 3, 0), dtype=torch.float32)
    with pytest.raises(ValueError, match="scales"):
        splat(
            leaves[0],
            leaves[1],
            leaves[2].double(),
            leaves[3],
            leaves[4],
            camera,
            background=BACKGROUND,
            threads=1,
        )
    with pytest.raises(ValueError, match="not finite"):
        splat(leaves[0] * torch.nan, *leaves[1:], camera=camera, background=BACKGROUND, threads=1)
    with pytest.raises(ValueError, match="CPU"):
        splat(leaves[0].to("meta"), *leaves[1:], camera=camera, background=BACKGROUND, threads=1)
