"""Typed stand-ins for numba's decorators, with the options that every kernel of this project shares.

`kernel` releases the GIL and caches machine code on disk, so that a second start takes under a second. Floating-point
contraction and reassociation are allowed (`fastmath`); kernels must therefore not rely on NaN or infinity, and their callers
refuse both. Numba's threads are not used: see `perse_live.team`.

Numba reads a file `.numba_config.yaml` in the working directory, which may name the folder of cached machine code. Cached code is
pickled, so such a file in a folder of downloads could execute code. Importing this module before any other that imports numba
switches that off; environment variables (NUMBA_*) keep their effect.

Where machine code cannot be stored (a full disk, a read-only installation without a home folder), kernels are compiled again at
each start, and one warning says so.
"""

from __future__ import annotations

import functools
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
        from numba.core import caching as _caching
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

_OPTIONS: dict[str, Any] = {"fastmath": True, "nogil": True, "error_model": "numpy"}


class _StoredIfPossible:
    """A kernel's cache of machine code, whose failure to write to disk is a warning.

    Numba lets the `OSError` of a full disk end the first call of a kernel, although the machine code is already in memory.
    """

    def __init__(self, cache: _caching.FunctionCache) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def save_overload(self, signature: Any, compiled: Any) -> None:
        try:
            self._cache.save_overload(signature, compiled)
        except OSError as error:
            _warn(error.strerror or str(error))


@functools.cache  # once for each cause: numba resets what Python remembers of shown warnings
def _warn(cause: str) -> None:
    warnings.warn(
        f"compiled kernels cannot be stored, so that each start compiles them again ({cause}); "
        "NUMBA_CACHE_DIR may name another folder",
        RuntimeWarning,
        stacklevel=3,
    )


def _compiled(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    dispatcher: Any = numba.njit(**_OPTIONS, **options)(function)
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # neither next to the source file nor in the user's cache folder
        _warn("no folder for them can be written")
    else:
        dispatcher._cache = _StoredIfPossible(dispatcher._cache)
    return cast("Callable[P, R]", dispatcher)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a serial kernel."""
    return _compiled(function)


def inline_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a small helper that is inlined into its callers, so that their loops still vectorise."""
    return _compiled(function, inline="always")
