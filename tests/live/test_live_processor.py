"""What a session spends processor time on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest
from running_session import until
from test_live_command import folder, live

from runtime.bench.live.processor import thread_roles, thread_seconds

WORK = {
    "main",
    "track",
    "draw",
    "splat",
    "prepare",
    "calibrate",
    "web",
    "MediaPipe",
    "film decoding",
}
"""Roles of threads that do what a session without viewers is for."""
_SECONDS = 6.0

__all__ = ["folder"]  # a fixture


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux keeps the names of another process's threads"
)
def test_no_thread_that_does_no_work_takes_processor_time(folder: Path) -> None:
    with live(folder, "--camera", "face.mp4", "--size", "256") as session:
        until(
            lambda: session.get("api/state")["calibration"]["phase"] == "done",
            "the neutral face was not learned",
        )
        process = psutil.Process(session.process.pid)
        before, begin = thread_seconds(process), time.monotonic()
        time.sleep(_SECONDS)
        after, seconds = thread_seconds(process), time.monotonic() - begin
        roles = thread_roles(process, {})
        spent = {
            number: (used - before.get(number, 0.0)) / seconds for number, used in after.items()
        }
    assert {"track", "draw", "MediaPipe"} <= {
        roles[number] for number in spent if spent[number] > 0
    }, "the session works"
    idle = {
        (roles[number], number): share
        for number, share in spent.items()
        if roles[number] not in WORK
    }
    assert all(share < 0.05 for share in idle.values()), idle
