"""Figures of a live session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LATE = 50.0
"""Milliseconds after which a picture of a fade is late; at 30 a second there are 33 from one to the next."""


@dataclass(frozen=True)
class Spread:
    """Many measurements of one thing, milliseconds."""

    median: float
    p95: float
    """95 of 100 stay within."""
    count: int


def spread_of(milliseconds: Sequence[float]) -> Spread | None:
    """None where there are too few to say anything."""
    if len(milliseconds) < 5:
        return None
    values = np.asarray(milliseconds, np.float64)
    return Spread(
        round(float(np.median(values)), 1), round(float(np.percentile(values, 95)), 1), len(values)
    )


@dataclass(frozen=True)
class LiveFigures:
    """A live session's figures on one machine; None: not measured here."""

    viewer: str
    """The viewer."""
    seconds: float
    """Seconds measured."""
    start_to_ready_s: float
    """From the start of `perse-live live` in a separate process to its line `ready`, caches warm."""
    fps_drawn: float
    fps_shown: float
    drawn_at: str
    """What the governor makes of the picture's size and Gaussians at the end."""
    stages_ms: dict[str, float]
    """Medians."""
    arrival_to_drawn_ms: float | None
    """From a camera picture's arrival to the end of its drawing, median."""
    drawn_to_canvas: Spread | None
    """From the end of a frame's drawing (the stamp in its pixels) to the viewer's canvas; without Chromium, to its decoding."""
    drawn_to_received: Spread | None
    """The part of it until the viewer has all packets of the frame."""
    hotkey_to_change: Spread | None
    """From a key's event in the page to the first picture on the canvas that shows what it does (a background, which changes at
    once; an attribute starts as soon, and fades in)."""
    camera_to_answer: Spread | None
    """From a picture of the browser's camera, taken hold of in the page, to the avatar's answer on the same page's canvas: the
    first picture in which it is a quarter of the way to where it goes."""
    frame_in_fade: Spread | None
    """From one picture to the next while an attribute fades."""
    late_in_fades: int | None
    """How many of those came after more than `LATE` milliseconds."""
    memory_start_mib: float
    """Resident, of the session's process, after the first tenth."""
    memory_end_mib: float
    extra_viewers: int
    cost_per_viewer: float | None
    """Percent of one core of the session's process for each further viewer."""

    @property
    def memory_growth_mib(self) -> float:
        """Over the time measured."""
        return round(self.memory_end_mib - self.memory_start_mib, 1)

    def rows(self) -> dict[str, str]:
        """Label and text of each figure, for display."""
        stages = ", ".join(f"{name} {ms:.1f}" for name, ms in self.stages_ms.items())
        cost = (
            "-"
            if self.cost_per_viewer is None
            else f"{self.cost_per_viewer:.1f} % of a core each, {self.extra_viewers} more"
        )
        return {
            "viewer": f"{self.viewer}, {self.seconds:.0f} s",
            "start to ready": f"{self.start_to_ready_s:.1f} s",
            "frames a second": f"{self.fps_drawn:.1f} drawn, {self.fps_shown:.1f} shown; {self.drawn_at}",
            "stages, ms": stages,
            "arrival to drawn": "-"
            if self.arrival_to_drawn_ms is None
            else f"{self.arrival_to_drawn_ms:.0f} ms",
            "drawn to received": _said(self.drawn_to_received),
            "drawn to canvas": _said(self.drawn_to_canvas),
            "key to changed frame": _said(self.hotkey_to_change),
            "browser camera to answer": _said(self.camera_to_answer),
            "picture to picture in fades": _said(self.frame_in_fade)
            + ("" if not self.late_in_fades else f"; {self.late_in_fades} over {LATE:.0f} ms"),
            "memory": f"{self.memory_start_mib:.0f} to {self.memory_end_mib:.0f} MiB",
            "extra viewers": cost,
        }


def _said(spread: Spread | None) -> str:
    return (
        "-"
        if spread is None
        else f"{spread.median:.0f} ms (95 %: {spread.p95:.0f}; {spread.count} times)"
    )
