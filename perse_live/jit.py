"""Typed stand-ins for numba's decorators, with the options that every kernel of this project shares.

`kernel` releases the GIL and caches machine code on disk, so that a second start takes under a second. Floating-point
contraction and reassociation are allowed (`fastmath`); kernels must therefore not rely on NaN or infinity, and their callers
refuse both. Numba's own threads are not used: see `perse_live.team`.

Numba reads a file `.numba_config.yaml` in the working directory, which may name the folder of cached machine code. Cached code is
pickled, so such a file in a folder of downloads could execute code. Importing this module before any other that imports numba
switches that off; environment variables (NUMBA_*) keep their effect.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

_yaml = sys.modules.get("yaml")
sys.modules["yaml"] = None  # pyright: ignore[reportArgumentType]  # numba then takes YAML for not installed, and reads no file
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there is such a file, and no YAML
        import numba
        from numba.core import config as _config
finally:
    if _yaml is None:
        del sys.modules["yaml"]
    else:
        sys.modules["yaml"] = _yaml
_config._config_fname = ""  # pyright: ignore[reportPrivateUsage]  # else it warns of the file at each compilation
_config.reload_config()  # where numba was imported before, without what the file said

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS: dict[str, Any] = {"fastmath": True, "cache": True, "nogil": True, "error_model": "numpy"}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a serial kernel."""
    return cast("Callable[P, R]", numba.njit(**_OPTIONS)(function))


def inline_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a small helper that is pasted into its callers, so that their loops still vectorise."""
    return cast("Callable[P, R]", numba.njit(inline="always", **_OPTIONS)(function))
