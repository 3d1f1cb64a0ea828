"""A kernel like those that draw, small enough to compile for a look whether compiling works."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array
from perse_live.jit import kernel


@kernel
def sum_of_squares(values: Float32Array) -> float:
    """Of values (N,)."""
    total = 0.0
    for i in range(values.shape[0]):
        total += values[i] * values[i]
    return total


def cache_folder() -> str | None:
    """Where its machine code is kept, once it was called; None where no folder can be written to."""
    return sum_of_squares.stats.cache_path  # pyright: ignore[reportFunctionMemberAccess]


def works() -> bool:
    """Whether compiled code computes what it should."""
    return abs(sum_of_squares(np.arange(5, dtype=np.float32)) - 30.0) < 1e-4
