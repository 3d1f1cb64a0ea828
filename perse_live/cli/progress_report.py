"""Progress of long commands: bars and lines for people, or one JSON object per line for programs.

As JSON, on stdout (`--progress-json`):
    {"step": NAME, "share": 0.4, "left": 7.2}   the step being done, how much of the whole job is done, seconds left (or null)
    {"picture": FILE, "stage": NAME}            a picture of what a stage has done, in the folder that was named
    {"learnt": NAME}                            an attribute is in the avatar's file now
    {"warning": TEXT}
    {"written": PATH, "what": TEXT}
Failures are one line on stderr and the exit code, as always.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TextIO

from perse_live.cli.console import Remaining, StepProgress, print_written, step_progress, warn

_SPACING = 0.1  # seconds between two reports of one step


@dataclass(frozen=True)
class Reports:
    """Callbacks for the progress of a command."""

    progress: StepProgress
    picture: Callable[[str, Path], None]
    """Given the stage's name and the file."""
    learnt: Callable[[str], None]
    """Given the attribute's name."""
    warning: Callable[[str], None]
    written: Callable[[str, Path], None]
    """Given what was written, for people, and where."""


@contextmanager
def reporting(
    usual: Mapping[str, float] | None = None, *, as_json: bool = False
) -> Generator[Reports, None, None]:
    """Reports of one job.

    usual: seconds that each step usually takes: the time left is told then. as_json: for programs.
    """
    if as_json:
        yield _json_reports(usual, sys.stdout)
        return
    with step_progress(usual) as progress:
        yield Reports(
            progress,
            lambda *_: None,
            lambda _: None,
            lambda text: warn(f"warning: {text}"),
            print_written,
        )


def _json_reports(usual: Mapping[str, float] | None, out: TextIO) -> Reports:
    remaining = Remaining(usual) if usual else None
    last = ("", -_SPACING)

    def tell(**report: object) -> None:
        print(json.dumps(report, allow_nan=False), file=out, flush=True)

    def progress(step: str, share: float) -> None:
        nonlocal last
        now = monotonic()
        left = None if remaining is None else remaining.tell(step, share, now)
        if step == last[0] and now < last[1] + _SPACING and share < 1:
            return
        last = (step, now)
        tell(
            step=step,
            share=round(share if remaining is None else remaining.share, 4),
            left=None if left is None else round(left, 1),
        )

    return Reports(
        progress,
        lambda stage, path: tell(picture=path.name, stage=stage),
        lambda name: tell(learnt=name),
        lambda text: tell(warning=text),
        lambda what, path: tell(written=str(path), what=what),
    )
