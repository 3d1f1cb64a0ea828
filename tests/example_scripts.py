"""The scripts of `examples/`, as the tests run them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> dict[str, Any]:
    """What a script defines; nothing of it has run yet."""
    return runpy.run_path(str(EXAMPLES / name), run_name="example")
