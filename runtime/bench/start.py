"""Start-up time of `drive` until its first frame, measured from the shell: a process on a film of one frame."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from perse_live.child import module_command
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer


@dataclass(frozen=True)
class StartTimes:
    """Of several starts, seconds; compiled kernels lie in their cache from the second on."""

    first: float
    """Until the first start was over; it may have compiled kernels, or read the disk."""
    median: float
    """Of the later ones."""
    median_cpu: float
    """Processor time of the later ones, all threads: a busy machine does not change it much. 0 where the system does not say."""


def bench_start(
    avatar: Path, video: Path, *, runs: int = 4, progress: Callable[[str, float], None]
) -> StartTimes:
    """Start `drive` again and again on the video's first frame.

    runs: at least 2. Raises UserError where the avatar cannot be driven by it.
    """
    walls: list[float] = []
    cpus: list[float] = []
    with tempfile.TemporaryDirectory(prefix="perse-live-start-") as name:
        film, output = Path(name) / "first.mp4", Path(name) / "out.mp4"
        source = open_film(video)
        with (
            film_writer(film, width=source.width, height=source.height, rate=source.rate) as writer,
            closing(source.frames()) as frames,
        ):
            writer.write(next(frames).image)
        command = module_command(
            "perse_live.cli", "drive", str(avatar), str(film), "-o", str(output), "--no-c2pa"
        )
        for k in range(runs):
            progress("starting drive", k / runs)
            before, start = os.times(), time.perf_counter()
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            walls.append(time.perf_counter() - start)
            after = os.times()
            cpus.append(
                after.children_user
                + after.children_system
                - before.children_user
                - before.children_system
            )
            if done.returncode:
                complaint = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
                raise UserError(
                    complaint[0]
                    .removeprefix("perse-live: ")
                    .replace(str(film), f"the first frame of {video}")
                )
    progress("starting drive", 1.0)
    return StartTimes(walls[0], statistics.median(walls[1:]), statistics.median(cpus[1:]))
