"""SOAP: Adam in the eigenbasis of the gradients (Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", 2024).

The factors of an adapter act on each other's outputs, so that their best directions are not those of single numbers. Long hair of
a painted girl: 1300 steps of Adam leave half of the visible hair 3.7, 1.9 and 1.5 mm off its target at 1/4, 1/2 and 3/4 of the
way, 450 of SOAP 3.3, 1.8 and 1.5 mm.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

_REFRESHED = 5  # steps between refinements of the bases
_BETA = 0.95  # decay of the means of gradients and of their squares
_BASIS_BETA = 0.95  # decay of the covariances that the bases come from
_EPS = 1e-8


class Soap(torch.optim.Optimizer):
    """For small matrices, of which every one gets a gradient in every step."""

    def __init__(self, params: Iterable[torch.Tensor], lr: float) -> None:
        """params: matrices; lr: learning rate, as Adam's."""
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the gradients in `grad`. closure: as other optimizers have it; not supported."""
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                if not state:
                    state.update(_begun(matrix))
                matrix.sub_(_move(state, matrix.grad), alpha=group["lr"])


def _begun(matrix: torch.Tensor) -> dict[str, Any]:
    sides = [matrix.new_zeros(side, side) for side in matrix.shape]
    return {
        "steps": 0,
        "mean": torch.zeros_like(matrix),
        "squares": torch.zeros_like(matrix),
        "covariances": sides,
        "bases": sides,
    }


def _move(state: dict[str, Any], gradient: torch.Tensor) -> torch.Tensor:
    """Against which the matrix is moved; gradient: (n, m)."""
    for covariance, one in zip(state["covariances"], (gradient, gradient.T), strict=True):
        covariance.mul_(_BASIS_BETA).addmm_(one, one.T, alpha=1 - _BASIS_BETA)
    if state["steps"] == 0:
        state["bases"] = [torch.linalg.eigh(one)[1] for one in state["covariances"]]
    elif state["steps"] % _REFRESHED == 0:  # one step of the power iteration
        state["bases"] = [
            torch.linalg.qr(one @ basis)[0]
            for one, basis in zip(state["covariances"], state["bases"], strict=True)
        ]
    left, right = state["bases"]
    state["steps"] += 1
    bias = 1 - _BETA ** state["steps"]
    turned = left.T @ gradient @ right
    state["squares"].mul_(_BETA).addcmul_(turned, turned, value=1 - _BETA)
    state["mean"].mul_(_BETA).add_(gradient, alpha=1 - _BETA)
    move = (left.T @ state["mean"] @ right / bias) / ((state["squares"] / bias).sqrt() + _EPS)
    return left @ move @ right.T
