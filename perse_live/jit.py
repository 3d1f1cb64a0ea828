"""Typed stand-ins for numba's decorators, with the options that every kernel of this project shares.

`kernel` releases the GIL and caches machine code on disk, so that a second start takes under a second. Floating-point
contraction and reassociation are allowed (`fastmath`); kernels must therefore not rely on NaN or infinity, and their callers
refuse both. Numba's own threads are not used: see `perse_live.team`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS: dict[str, Any] = {"fastmath": True, "cache": True, "nogil": True, "error_model": "numpy"}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a serial kernel."""
    return cast("Callable[P, R]", numba.njit(**_OPTIONS)(function))


def inline_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a small helper that is pasted into its callers, so that their loops still vectorise."""
    return cast("Callable[P, R]", numba.njit(inline="always", **_OPTIONS)(function))
