"""glibc gives back what is freed, also where small things that stay lie between."""

from __future__ import annotations

import subprocess
import sys

import pytest

_ROUNDS = """
import numpy as np, psutil
from perse_live.memory import keep_heap_small, return_free_memory
process, kept = psutil.Process(), []
def resident():
    return process.memory_info().rss / 2**20
def round_of_work():
    large = []
    for _ in range(30):
        large.append(np.ones(6 * 2**20, np.uint8))
        kept.append(np.ones(60_000, np.uint8))
"""
_PRINT = """
before = resident()
for _ in range(3):
    round_of_work()
    AFTER
print(resident() - before)
"""


def growth(first: str, after: str) -> float:
    """Of a process that makes and frees 180 MiB again and again, MiB."""
    code = _ROUNDS + first + _PRINT.replace("AFTER", after)
    return float(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout
    )


def test_what_only_reference_cycles_hold_is_freed() -> None:
    """As recordings and films: the collector is far from a full collection by itself, as few objects have come since the last."""
    code = """
import gc, weakref
from perse_live.memory import leave_out_of_collections, return_free_memory
class Stream: pass
gc.disable()
def recording():
    container, stream = Stream(), Stream()
    container.stream, stream.container = stream, container
    return weakref.ref(stream)
leave_out_of_collections()
gone = recording()
print(gone() is None)
return_free_memory()
print(gone() is None, gc.get_freeze_count() > 0)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert said.split() == ["False", "True", "True"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that keeps memory")
def test_memory_of_freed_arrays_goes_back_to_the_system() -> None:
    assert growth("", "pass") > 100, "else there is nothing to do here"
    assert growth("keep_heap_small()", "pass") < 40
    assert growth("", "return_free_memory()") < 40
