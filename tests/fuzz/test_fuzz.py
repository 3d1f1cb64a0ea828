"""Fuzzing, short: no reader of foreign data raises anything but UserError, takes 2 s of processor time, or 512 MiB."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from fuzz.targets import TARGETS, seeds
from hypothesis_profiles import examples

_EXAMPLES = {"film": 40, "offer": 40, "photo": 80, "avatar": 60}  # the others: 150
_SECONDS = 2
_MAX_MIB = 512
_LARGE = (HealthCheck.data_too_large, HealthCheck.large_base_example)

_TOKENS = (
    b"\0",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"999999999999",
    b"-1",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"null",
    b"[",
    b"{",
    b"\r\n",
    b'"',
    b"\\",
    b"%s",
    b"../",
    b"\xf0\x9f\x98\x80",
)


@st.composite
def damaged(draw: st.DrawFn, sound: list[bytes]) -> bytes:
    """A sound input with a few places overwritten, cut out, doubled or cut off; mostly near the beginning, where headers are."""
    data = bytearray(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(1, 6))):
        reach = draw(st.sampled_from((64, 600, 6000, 1 << 30)))
        start = draw(st.integers(0, min(len(data), reach)))
        length = draw(st.sampled_from((0, 1, 2, 4, 8, 30, 300)))
        match draw(st.sampled_from(("token", "bytes", "flip", "cut", "double", "end"))):
            case "token":
                data[start : start + length] = draw(st.sampled_from(_TOKENS))
            case "bytes":
                data[start : start + length] = draw(st.binary(max_size=12))
            case "flip":
                if start < len(data):
                    data[start] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[start : start + length]
            case "double":
                data[start:start] = data[start : start + length] * draw(st.integers(1, 40))
            case _:
                if draw(st.booleans()):
                    del data[start:]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TARGETS))
def test_damaged_input_is_read_or_refused(name: str) -> None:
    sound = seeds(name)
    assert sound

    @examples(_EXAMPLES.get(name, 150), allowed=_LARGE)
    @given(damaged(sound))
    def check(data: bytes) -> None:
        began = time.process_time()  # a deadline would count what other programs take
        TARGETS[name](data)
        assert time.process_time() - began < _SECONDS

    run: Any = check
    before = _restarted_peak_mib()
    run()
    assert _peak_mib() - before < _MAX_MIB


def _restarted_peak_mib() -> float:
    """The peak of this process's memory, MiB, from here on. Only Linux can start it again (proc(5), clear_refs); elsewhere what
    earlier tests have taken stays in it.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return _peak_mib()


def _peak_mib() -> float:
    """The most memory that this process has had since its start or `_restarted_peak_mib`, MiB; 0 on Windows."""
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


@pytest.mark.parametrize("name", list(TARGETS))
def test_seeds_are_read_or_refused(name: str) -> None:
    for data in seeds(name):
        TARGETS[name](data)
