"""Portrait -> avatar. The only stage that needs torch."""

import perse_live.jit  # noqa: F401  # pyright: ignore[reportUnusedImport]  # before pymatting, which imports numba too
