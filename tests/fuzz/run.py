"""Long fuzzing by atheris: python tests/fuzz/run.py TARGET [SECONDS]. See README.md in this folder."""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]


_SECONDS = 2  # of processor time that one input may take


def main(name: str, seconds: int) -> None:
    """Run one target until something is found or the time is over; what is found lies in the working directory."""
    # Not among the tests' packages: it is there for some Pythons on Linux only
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["perse_live", "runtime"]):
        from fuzz.targets import TARGETS, seeds

    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for k, data in enumerate(seeds(name)):
        (corpus / f"seed-{k}").write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={10 * _SECONDS}",
        "-malloc_limit_mb=512",
        "-rss_limit_mb=3072",
        "-max_len=2000000",
    ]

    def limited(data: bytes) -> None:
        began = time.process_time()  # libFuzzer's own limit counts what other programs take too
        TARGETS[name](data)
        spent = time.process_time() - began
        assert spent < _SECONDS, f"{spent:.1f} s of processor time"

    atheris.Setup([sys.argv[0], *options, str(corpus)], limited)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 600)
