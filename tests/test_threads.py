"""The one policy for native threads: what libraries of a fresh process do under it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

_NAMES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OMP_WAIT_POLICY",
    "KMP_BLOCKTIME",
)
_BLAS_THREADS = """
import json, os
from threadpoolctl import threadpool_info
threads = max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
print(json.dumps([threads, os.environ["OMP_WAIT_POLICY"]]))
"""
_BEFORE_NUMPY = (
    "from perse_live.threads import limit_native_threads\nlimit_native_threads()\nimport numpy"
)
_AFTER_NUMPY = (
    "import numpy\nfrom perse_live.threads import limit_native_threads\nlimit_native_threads()"
)
_COMMAND = "from perse_live.cli import main\nassert main(['--version']) == 0\nimport numpy"


def _blas_threads(program: str, chosen: dict[str, str]) -> tuple[int, str]:
    """Of a process that has run a program with variables that its user has chosen; and how OpenMP waits there."""
    plain = {name: value for name, value in os.environ.items() if name not in _NAMES}
    done = subprocess.run(
        [sys.executable, "-c", program + _BLAS_THREADS],
        env=plain | chosen,
        check=True,
        capture_output=True,
        text=True,
    )
    threads, policy = json.loads(done.stdout.splitlines()[-1])
    return threads, policy


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread by itself")
@pytest.mark.parametrize("program", [_BEFORE_NUMPY, _AFTER_NUMPY, _COMMAND])
def test_linear_algebra_has_one_thread_and_openmp_sleeps(program: str) -> None:
    assert _blas_threads("import numpy", {"OMP_WAIT_POLICY": "none"})[0] > 1, (
        "the policy would change nothing here"
    )
    assert _blas_threads(program, {}) == (1, "PASSIVE")


@pytest.mark.parametrize("program", [_BEFORE_NUMPY, _AFTER_NUMPY])
@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
def test_what_the_user_has_set_wins(program: str, variable: str) -> None:
    assert _blas_threads(program, {variable: "2", "OMP_WAIT_POLICY": "ACTIVE"}) == (2, "ACTIVE")


def test_the_tests_themselves_run_under_the_policy() -> None:
    assert os.environ["OMP_WAIT_POLICY"]
    assert any(name in os.environ for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
