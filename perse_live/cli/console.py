"""Output of the command line: progress on stderr, results on stdout, and the consent question."""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from perse_live.errors import UserError
from perse_live.quiet import heard_on_stderr

StepProgress = Callable[[str, float], None]
"""Called with the name of the current step and the fraction of it done, [0, 1]."""
FrameProgress = Callable[[int, int | None], None]
"""Called with the number of finished frames and the total (None: unknown)."""

_TELLING = 0.08  # fraction of a job from which its pace predicts the rest
_OURS = ("perse_live", "offline", "export", "runtime")


class Remaining:
    """Progress of a job of known steps, and the time left."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        """seconds: for each step, in their order, how long it usually takes; on this machine all take longer or shorter alike."""
        self._seconds, self._begun = dict(seconds), 0.0
        self.share = 0.0
        """Fraction of the job that is done, [0, 1]."""

    def tell(self, step: str, fraction: float, now: float) -> float | None:
        """Estimated seconds left, or None while too little is done. now: seconds of any clock."""
        if step not in self._seconds:
            return None
        names = list(self._seconds)
        before = sum(self._seconds[name] for name in names[: names.index(step)])
        if self.share == 0 and before == 0 and fraction == 0:
            self._begun = now
        self.share = max(
            self.share,
            (before + fraction * self._seconds[step]) / max(sum(self._seconds.values()), 1e-9),
        )
        return (
            None if self.share < _TELLING else (now - self._begun) * (1 - self.share) / self.share
        )


@contextmanager
def step_progress(usual: Mapping[str, float] | None = None) -> Generator[StepProgress, None, None]:
    """A bar for every step on a terminal, a line for every step elsewhere; on stderr.

    usual: seconds that each step of a job usually takes: then the time left for all of them is shown too.
    """
    console = Console(stderr=True)
    seen: dict[str, TaskID] = {}
    if not console.is_terminal:

        def tell(step: str, fraction: float) -> None:
            if step not in seen:
                seen[step] = TaskID(len(seen))
                print(printable(step), file=sys.stderr, flush=True)

        yield tell
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=console) as bars:
        remaining = Remaining(usual) if usual else None
        whole = bars.add_task("in all", total=1.0, left="") if usual else None

        def draw(step: str, fraction: float) -> None:
            if remaining is not None and whole is not None:
                left = remaining.tell(step, fraction, monotonic())
                bars.update(
                    whole,
                    completed=remaining.share,
                    left="" if left is None else f"about {left:.0f} s left",
                )
            if step not in seen:
                for earlier in seen.values():
                    bars.update(earlier, completed=1.0)
                seen[step] = bars.add_task(printable(step), total=1.0, left="")
            bars.update(seen[step], completed=fraction)

        yield draw


@contextmanager
def frame_progress(description: str) -> Generator[FrameProgress, None, None]:
    """A bar with the number of frames done and frames per second; on stderr, and only on a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _FrameCount(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(description, total=None)

        def draw(done: int, total: int | None) -> None:
            bars.update(task, completed=done, total=total)

        yield draw


class _FrameCount(TextColumn):
    """Frames done and frames per second."""

    def __init__(self) -> None:
        super().__init__("", markup=False)

    def render(self, task: Task) -> Text:
        speed = f"{task.speed:.0f} fps" if task.speed else ""
        total = "" if task.total is None else f"/{task.total:.0f}"
        return Text(f"{task.completed:.0f}{total} {speed}")


def ask_consent(photo: Path, what: str = "An avatar moves and speaks as the person in {}.") -> str:
    """Ask on the terminal whether the person in a photo agrees. what: is to happen; {} stands for the photo.

    Returns who answered and how, for the avatar's file.
    Raises UserError when there is no terminal to ask on, or the answer is not yes.
    """
    how = "add --consent to declare that the person in it agrees (or that it shows you, or nobody alive)"
    if not can_ask():
        raise UserError(f"nothing is made of {photo} without consent: {how}")
    print(
        f"{what.format(printable(str(photo)))} Does this person agree? [y/N] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError(f"nothing was made of {photo} without consent: {how}")
    return f"the user {user_name()}, asked on the terminal"


def can_ask() -> bool:
    """Whether stdin and stdout are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def user_name() -> str:
    """The name of the user's account, or "unknown"."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # no such account: usual in containers; what is raised depends on the Python version
        return "unknown"


def print_json(content: Mapping[str, Any]) -> None:
    """The one JSON object of `--json` on stdout."""
    print(json.dumps(content, allow_nan=False))


def print_table(rows: Mapping[str, Any]) -> None:
    """Names and values in two columns on stdout."""
    width = max((len(name) for name in rows), default=0)
    for name, value in rows.items():
        text = (
            ", ".join(map(str, cast("Sequence[Any]", value)))
            if isinstance(value, list | tuple)
            else str(value)
        )
        print(f"{name:<{width}}  {printable(text)}")


def printable(text: str) -> str:
    """Text from a file or a path without what could steer the terminal: control characters are shown as escapes."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def say(text: str) -> None:
    """Print a line of results and flush."""
    print(text, flush=True)


def warn(text: str) -> None:
    """A line of warning, as terminals of any encoding can show it; nothing where the terminal is gone."""
    with heard_on_stderr(), contextlib.suppress(OSError):
        print(f"perse-live: {printable(text)}", file=sys.stderr, flush=True)


class _WarningLines(logging.Handler):
    """What libraries log as a warning or worse, a line each as `warn` prints them."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(" ".join(record.getMessage().split()))


@contextmanager
def logged_warnings() -> Generator[None, None, None]:
    """Within the block, print warnings logged by perse-live and errors logged by libraries."""
    handler = _WarningLines(logging.WARNING)
    handler.addFilter(
        lambda record: record.levelno >= logging.ERROR or record.name.split(".")[0] in _OURS
    )
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def print_written(what: str, path: Path) -> None:
    """Print the path and size of a result."""
    print(f"{what}: {printable(str(path))} ({path.stat().st_size / 1e6:.1f} MB)")
