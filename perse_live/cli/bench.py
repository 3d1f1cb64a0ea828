"""`perse-live bench`: how fast this machine draws, or how a live session does on it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg

from perse_live.cli.console import print_json, print_table, step_progress, warn
from perse_live.cli.options import JsonSwitch, Network
from perse_live.cli.shared import TRACKING_ASSETS, fetch


@dataclass(frozen=True)
class Bench:
    """Measure how fast this machine draws: milliseconds per stage, and frames per second. With --live, measure a live session."""

    live: Annotated[tuple[Path, Path] | None, arg(metavar="AVATAR VIDEO")] = None
    """Measure a real session instead: the avatar follows the face in the video, watched in Chromium where that is here (the
    package playwright drives it): rates, delays, memory, what a viewer costs, and how soon it starts."""
    seconds: float = 20.0
    """For how long --live watches."""
    viewers: int = 7
    """How many more viewers then join to --live, 0 to 15."""
    json: JsonSwitch = False
    """Print one JSON object instead of a table."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Bench) -> None:
    """Measure, and print what was measured."""
    if command.live is not None:
        _run_live(command, *command.live)
        return
    from runtime.bench import SIZE, bench, machine

    with step_progress() as progress:
        results = bench(progress=progress)
    if command.json:
        print_json({"machine": machine(), "width": SIZE, "height": SIZE,
                    "results": [{**asdict(result), "fps": result.fps} for result in results]})
        return
    print_table(machine())
    for result in results:
        times = ", ".join(f"{name} {timing.median_ms:.2f} ({timing.p95_ms:.2f})" for name, timing in result.stages.items())
        print(f"{result.visible:>6,} visible, {result.threads} thread{'s' if result.threads > 1 else ' '}: {result.fps:4.0f} fps;"
              f" ms median (p95): {times}")


def _run_live(command: Bench, avatar: Path, video: Path) -> None:
    from runtime.bench import machine
    from runtime.livebench.measure import bench_live

    with step_progress() as progress:
        fetch(TRACKING_ASSETS, command.network, progress)
        figures, complaints = bench_live(avatar, video, seconds=command.seconds, viewers=command.viewers,
                                         threads=min(os.cpu_count() or 1, 4), progress=progress)
    for complaint in complaints:
        warn(complaint)
    if command.json:
        print_json({"machine": machine(), "live": {**asdict(figures), "memory_growth_mib": figures.memory_growth_mib},
                    "not_measured": complaints})
        return
    print_table({**machine(), **figures.rows()})
