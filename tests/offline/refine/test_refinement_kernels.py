from __future__ import annotations

import numpy as np
import pytest
import torch
from reference_loss import charbonnier, placed_splats, turned_splats

from offline.gaussian_layer import Layer, surface_layer
from offline.numeric import normalized
from offline.refine import kernels
from offline.refine.photometric import (
    _CHARBONNIER,  # pyright: ignore[reportPrivateUsage]
    RefineConfig,
    _Adam,  # pyright: ignore[reportPrivateUsage]
    _Moving,  # pyright: ignore[reportPrivateUsage]
    _turn_about,  # pyright: ignore[reportPrivateUsage]
)
from perse_live.arrays import Float32Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.regions import Region
from perse_live.splatting.autograd import splat
from perse_live.splatting.gradients import SplatGradients

CONFIG = RefineConfig(iterations=5)
COUNT = 300
NAMES = ("means", "quats", "scales", "opacities", "colors")


@pytest.fixture(scope="module")
def layer() -> Layer:
    rng = np.random.default_rng(0)
    means = rng.uniform(-0.05, 0.05, (COUNT, 3)) + np.array([0, 0, 0.5])
    return surface_layer(
        means,
        normalized(rng.normal(size=(COUNT, 3))),
        rng.uniform(0.002, 0.006, COUNT),
        rng.random((COUNT, 3)),
        Region.SKIN,
        opacity=rng.uniform(0.3, 0.97, COUNT),
        freedom=rng.random(COUNT),
        color_freedom=rng.random(COUNT),
        least_opacity=rng.uniform(0.02, 0.6, COUNT),
    )


@pytest.fixture(scope="module")
def parameters() -> Float32Array:
    return np.random.default_rng(1).normal(0, 0.6, (COUNT, kernels.PARAMETERS)).astype(np.float32)


def by_autograd(
    layer: Layer, parameters: Float32Array, grown: Gaussians, turned: Gaussians
) -> tuple[list[Float32Array], Float32Array]:
    """Placed and turned Gaussians of torch, and its gradient of their products with `grown` and `turned`."""
    free = torch.from_numpy(parameters.copy()).requires_grad_()
    placed = placed_splats(layer, free, CONFIG.drift, CONFIG.growth, CONFIG.shrink)
    turn = _turn_about(np.array([0.0, 0.0, 0.5]), 25.0, -8.0)
    moved = turned_splats(placed, turn.rotation, turn.offset, turn.quat)
    torch.stack(
        [
            (tensor * torch.from_numpy(getattr(by, name))).sum()
            for splats, by in ((placed, grown), (moved, turned))
            for name, tensor in zip(NAMES, splats, strict=True)
        ]
    ).sum().backward()
    assert free.grad is not None
    return [tensor.detach().numpy() for tensor in (*placed, *moved[:2])], free.grad.numpy()


def gradients(seed: int) -> Gaussians:
    rng = np.random.default_rng(seed)
    shapes = ((COUNT, 3), (COUNT, 4), (COUNT, 3), (COUNT,), (COUNT, 3))
    return Gaussians(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


@pytest.mark.parametrize("threads", [1, 3])
def test_places_gradients_and_turns_are_those_of_autograd(
    layer: Layer, parameters: Float32Array, threads: int
) -> None:
    there, slope = by_autograd(layer, parameters, gradients(2), gradients(3))
    moving = _Moving(layer, RefineConfig(threads=threads))
    moving.place(parameters)
    turn = _turn_about(np.array([0.0, 0.0, 0.5]), 25.0, -8.0)
    moved = moving.turned(turn)
    here = [*(getattr(moving.splats, name) for name in NAMES), moved.means, moved.quats]
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
    gradient = np.zeros_like(parameters)
    moving.pull_back(
        parameters, moving.with_turned_back(gradients(2), gradients(3), turn), gradient
    )
    np.testing.assert_allclose(gradient, slope, rtol=2e-4, atol=2e-5)


def test_the_loss_s_gradient_is_that_of_autograd(layer: Layer) -> None:
    rng = np.random.default_rng(4)
    image, target, weight = (rng.random((20, 30, 4)).astype(np.float32) for _ in range(3))
    free = torch.from_numpy(image.copy()).requires_grad_()
    (charbonnier(free - torch.from_numpy(target), 4e-3) * torch.from_numpy(weight)).sum().backward()
    assert free.grad is not None
    np.testing.assert_allclose(
        _Moving(layer, CONFIG).charbonnier(image, target, weight), free.grad.numpy(), atol=1e-6
    )


def test_adam_is_torch_s_adam_with_a_rate_along_a_cosine(layer: Layer) -> None:
    rng, ours = np.random.default_rng(5), _Adam(COUNT, CONFIG)
    slopes = rng.normal(0, 0.01, (CONFIG.iterations, COUNT, kernels.PARAMETERS)).astype(np.float32)
    # one group of torch's for each of ours, with the epsilon that ours takes from the first gradients
    columns = [torch.zeros(COUNT, 1, requires_grad=True) for _ in range(kernels.PARAMETERS)]
    ours.gradient[:] = slopes[0]
    ours.step()
    optimiser = torch.optim.Adam(
        [
            {"params": [column], "lr": float(rate), "eps": float(eps)}
            for column, rate, eps in zip(
                columns,
                (0.1, 0.1, 0.03, 0.1, 0.1, 0.06, 0.02, 0.02, 0.02),
                ours.epsilons,
                strict=True,
            )
        ]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, CONFIG.iterations, eta_min=0.0)
    for step, slope in enumerate(slopes):
        for k, column in enumerate(columns):
            column.grad = torch.from_numpy(slope[:, k : k + 1].copy())
        optimiser.step()
        schedule.step()
        if step:
            ours.gradient[:] = slope
            ours.step()
    np.testing.assert_allclose(ours.parameters, torch.cat(columns, 1).detach().numpy(), atol=2e-5)
    assert not ours.gradient.any()


def test_pictures_and_gradients_are_those_of_the_torch_function(layer: Layer) -> None:
    camera, g = Camera.for_image(64, 48), layer.gaussians
    by_image = np.random.default_rng(6).normal(size=(48, 64, 4)).astype(np.float32)
    inputs = [torch.from_numpy(getattr(g, name).copy()).requires_grad_() for name in NAMES]
    means, quats, scales, opacities, colors = inputs
    picture = splat(
        means, quats, scales, opacities, colors, camera, background=(0.0, 0.0, 0.0), threads=1
    )
    picture.backward(torch.from_numpy(by_image))
    view = SplatGradients(camera, threads=1)
    np.testing.assert_array_equal(view.draw(g), picture.detach().numpy())
    by = view.gradients(by_image)
    for name, tensor in zip(NAMES, inputs, strict=True):
        assert tensor.grad is not None
        np.testing.assert_array_equal(getattr(by, name), tensor.grad.numpy())


def test_gradients_need_a_picture() -> None:
    with pytest.raises(ValueError, match="nothing has been drawn"):
        SplatGradients(Camera.for_image(16, 16), threads=1).gradients(
            np.zeros((16, 16, 4), np.float32)
        )


def test_a_gradient_of_the_error_has_the_same_bits_wherever_it_begins() -> None:
    rng = np.random.default_rng(0)
    count = 10_003
    image, target, weight = (rng.random(count).astype(np.float32) for _ in range(3))
    whole, parts, shifted = (np.zeros(count, np.float32) for _ in range(3))
    kernels.charbonnier_gradient(0, count, image, target, weight, _CHARBONNIER, whole)
    for begin in range(0, count, 7):
        end = min(begin + 7, count)
        kernels.charbonnier_gradient(begin, end, image, target, weight, _CHARBONNIER, parts)
    moved = np.zeros(count + 3, np.float32)[3:]
    moved[:] = image
    kernels.charbonnier_gradient(0, count, moved, target, weight, _CHARBONNIER, shifted)
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(shifted, whole)
