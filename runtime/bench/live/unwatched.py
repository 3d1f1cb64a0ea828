"""Measures a session without viewers: cost of tracking and drawing, and the governor's choices."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from runtime.bench.live.processor import RoleTimes, other_programs
from runtime.live.governor import LADDER, Effort
from runtime.live.run import LiveOptions, open_live
from runtime.live.session import LiveSession
from runtime.live.settings import Settings

SETTLE_SECONDS = 10.0
"""After which code is compiled, the driver's neutral face learned, and the governor where it stays."""
_SAMPLE_SECONDS = 0.25


@dataclass(frozen=True)
class Unwatched:
    """Figures of a session without viewers."""

    size: str
    seconds: float
    other_programs: int
    """Number of other processes that kept the processor busy."""
    fps: float
    camera_to_picture_ms: float | None
    """From a camera picture's capture to the end of its drawing, median."""
    stages_ms: dict[str, float]
    """Medians."""
    processor: float
    """Processor seconds a second, of the session's process."""
    processor_by_role: dict[str, float]
    governor: tuple[tuple[float, float, float], ...]
    """When the effort changed, seconds from the start of measuring, and to which share of size and of Gaussians; first at 0."""
    full_effort_share: float
    """Of the time, at full size with all Gaussians."""

    def rows(self) -> dict[str, str]:
        """Label and text of each figure, for display."""
        late = "-" if self.camera_to_picture_ms is None else f"{self.camera_to_picture_ms:.0f} ms"
        roles = (
            f"{role} {used:.2f}" for role, used in self.processor_by_role.items() if used >= 0.005
        )
        beside = f" with {self.other_programs} other busy programs" if self.other_programs else ""
        return {
            "without viewers": f"{self.size}, {self.seconds:.0f} s{beside}: {self.fps:.1f} frames a second,"
            f" camera to picture {late}",
            "its stages, ms": ", ".join(f"{name} {ms:.1f}" for name, ms in self.stages_ms.items()),
            "cores used": f"{self.processor:.2f}: {', '.join(roles)}",
            "governor": governor_line(self.governor, self.full_effort_share),
        }


def governor_line(changes: Sequence[tuple[float, float, float]], full_share: float) -> str:
    """What the governor did, for people."""
    if full_share == 1.0:
        return "full size and all Gaussians throughout"
    steps = ", ".join(
        f"{scale:.0%} size and {gaussians:.0%} of the Gaussians at {when:.0f} s"
        for when, scale, gaussians in changes
    )
    return f"STEPPED DOWN, full effort {full_share:.0%} of the time: {steps}"


def bench_unwatched(
    options: LiveOptions,
    settings: Settings,
    *,
    seconds: float,
    load: int,
    progress: Callable[[str, float], None],
) -> Unwatched:
    """Measure a session.

    seconds: for how long; load: number of busy processes that run at the same time. Raises UserError for files that cannot be
    used.
    """
    step = f"{seconds:.0f} s without viewers"
    times = RoleTimes()
    with open_live(options, settings) as opened, other_programs(load):
        time.sleep(SETTLE_SECONDS)
        session = opened.session
        efforts: list[tuple[float, Effort]] = []
        first = _frames(session)
        times.begin()
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < seconds:
            efforts.append((passed, _effort(session)))
            progress(step, passed / seconds)
            time.sleep(_SAMPLE_SECONDS)
        processor, by_role = times.end()
        frames, stats = _frames(session) - first, cast("dict[str, Any]", session.stats())
    progress(step, 1.0)
    changes = [one for k, one in enumerate(efforts) if k == 0 or one[1] != efforts[k - 1][1]]
    full = sum(effort == LADDER[0] for _, effort in efforts) / len(efforts)
    return Unwatched(
        f"{options.width}x{options.height}",
        round(passed, 1),
        load,
        round(frames / passed, 1),
        stats["latency_ms"],
        {name: one["ms"] for name, one in stats["stages"].items()},
        processor,
        by_role,
        tuple((round(when, 1), effort.scale, effort.gaussians) for when, effort in changes),
        round(full, 3),
    )


def _frames(session: LiveSession) -> int:
    """How many have been drawn so far."""
    found = session.drawn.wait(0, 1.0)
    return 0 if found is None else found[0]


def _effort(session: LiveSession) -> Effort:
    governor = cast("dict[str, Any]", session.stats())["governor"]
    return Effort(governor["scale"], governor["gaussians"])
