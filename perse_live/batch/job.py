"""Jobs for workers, and their results."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

MAX_TRIES = 3
"""Number of attempts for a row whose worker dies: a killed process or a lost node may be due to memory, not to the photo."""

StepProgress = Callable[[str, float], None]
"""Called with the name of the current step and the fraction of it done, [0, 1]."""


@dataclass(frozen=True)
class Job:
    """A row to be made."""

    name: str
    """Of the files, without suffix."""
    photo: str
    """Path."""
    consent: str
    looks: tuple[str, ...]
    formats: tuple[str, ...]
    offline: bool
    """Whether nothing may be fetched."""


@dataclass(frozen=True)
class Made:
    """Result of a row; its files are in the folder that the worker was given."""

    warnings: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict[str, float])
    """By name; for the report."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a row. Its files are in `folder` until the next outcome is requested."""

    job: Job
    made: Made | None
    """None where it failed."""
    error: str = ""
    """One line."""
    seconds: float = 0.0
    tries: int = 1
    folder: Path | None = None


Maker = Callable[[Job, Path, StepProgress], Made]
"""Makes the files of a job in a folder. Raises UserError for an unusable photo."""


class Engine(Protocol):
    """Runs jobs."""

    workers: int
    """How many jobs run at the same time."""

    def run(
        self, jobs: Sequence[Job], report: Callable[[Job, str, float], None]
    ) -> Generator[Outcome, None, None]:
        """The outcomes of all jobs as they come; a failure of one never stops the others.

        report: called on any thread with the step that a job is at, and its share. Closing the iterator ends all workers.
        """
        ...
