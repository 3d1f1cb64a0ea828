"""SOAP against Adam, on a problem whose best directions are not those of single numbers."""

from __future__ import annotations

import torch

from offline.training.soap import Soap


def _left_after(optimizer_of: type[torch.optim.Optimizer], steps: int) -> float:
    """Error that is left of a least-squares problem whose rows and columns are strongly correlated."""
    generator = torch.Generator().manual_seed(7)

    def ill_conditioned(side: int) -> torch.Tensor:
        turned = torch.linalg.qr(torch.randn(side, side, generator=generator))[0]
        return turned @ torch.diag(torch.logspace(0, -2, side)) @ turned.T

    left, right = ill_conditioned(12), ill_conditioned(8)
    goal = torch.randn(12, 8, generator=generator)
    matrix = torch.nn.Parameter(torch.zeros(12, 8))
    optimizer = optimizer_of([matrix], lr=0.05)  # pyright: ignore[reportCallIssue]
    for _ in range(steps):
        optimizer.zero_grad()
        (left @ (matrix - goal) @ right).square().sum().backward()
        optimizer.step()
    return float((left @ (matrix.detach() - goal) @ right).square().sum())


def test_it_needs_fewer_steps_than_adam_where_directions_are_correlated() -> None:
    assert _left_after(Soap, 150) < 0.5 * _left_after(torch.optim.Adam, 150)


def test_the_first_step_goes_along_the_gradient_s_singular_directions() -> None:
    """In its own basis, the first gradient is diagonal and each entry counts alike: U V^T remains of U S V^T."""
    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    matrix = torch.nn.Parameter(torch.zeros(6, 6, dtype=torch.float64))
    matrix.grad = gradient.clone()
    Soap([matrix], lr=0.1).step()
    left, _, right = torch.linalg.svd(gradient)
    moved = left.T @ (-matrix.detach() / 0.1) @ right.T
    assert torch.allclose(moved.diagonal().abs(), torch.ones(6, dtype=torch.float64), atol=1e-3)
