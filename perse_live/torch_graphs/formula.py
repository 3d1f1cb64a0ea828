"""Torch modules that are formulas over an avatar's arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn


class Formula(nn.Module):
    """A module whose only attributes are constant tensors."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Tensor: ...

    def constant(self, name: str, array: np.ndarray) -> None:
        """Build an array in, as a tensor of that name; no output may have the same name, as names in a graph are unique."""
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)))
