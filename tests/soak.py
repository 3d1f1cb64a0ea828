"""Hours of calls in minutes: a real `perse-live live` whose viewers, looks, avatars, face and recordings come and go.

    python tests/soak.py ME.perse OTHER.perse --camera FACE.mp4 --minutes 30 --output FOLDER

Prints what the session's process was like in each tenth of the time, and writes soak.csv and soak.png into the folder. On Linux
only.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image, ImageDraw

from perse_live.child import module_command
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from runtime.bench.live.crowd import onlookers

_PATIENCE = 120.0  # seconds for the first picture and for a viewer
_WITHOUT_FACE = 2.0  # seconds of each round of the camera's film
_WITH_FACE = 10.0  # seconds at most
_EVENT_SECONDS = (1.0, 4.0)  # between two things that happen
_SAMPLE_SECONDS = 1.0
# Of the samples: caches fill, looks and both avatars are prepared for the first time
_WARM_UP = 0.2
_MAX_VIEWERS = 3


@dataclass(frozen=True)
class Sample:
    """The session's process at one moment."""

    seconds: float
    fps: float
    """Not a number while the driver hides: nothing is drawn then."""
    latency_ms: float
    rss_mib: float
    threads: int
    descriptors: int
    viewers: int


@dataclass(frozen=True)
class Verdict:
    """What stayed, and what grew, after the warm-up."""

    samples: tuple[Sample, ...]
    events: int
    problems: tuple[str, ...]
    """What the session complained of."""

    def settled(self) -> Sequence[Sample]:
        """Samples after the warm-up."""
        return self.samples[int(len(self.samples) * _WARM_UP) :]

    def growth(self, name: str) -> float:
        """Of a figure without viewers, from the first third of the settled time to the last; of the medians."""
        alone = [one for one in self.settled() if one.viewers == 0] or self.settled()
        values = [float(getattr(one, name)) for one in alone]
        third = max(1, len(values) // 3)
        return median(values[-third:]) - median(values[:third])


def soak(
    avatars: Sequence[Path],
    camera: Path,
    *,
    seconds: float,
    folder: Path,
    seed: int = 0,
    size: str = "512",
    pace: float = 1.0,
    environment: dict[str, str] | None = None,
) -> Verdict:
    """Run a session for a time and let things happen to it.

    pace: factor on the time between two things that happen. camera: a film of a face; the session sees it with stretches of an
    empty room. folder: where recordings go.
    """
    film = folder / "camera.mp4"
    write_camera_film(camera, film)
    samples: list[Sample] = []
    chance, events = random.Random(seed), 0
    with (
        _session(avatars, film, folder, size, environment or {}) as (process, url),
        contextlib.ExitStack() as stack,
    ):
        watching: list[contextlib.ExitStack] = []
        begin = time.monotonic()
        event_due, sample_due = begin, begin
        while (now := time.monotonic()) - begin < seconds and process.is_running():
            if now >= event_due:
                event_due = now + pace * chance.uniform(*_EVENT_SECONDS)
                _happen(chance, url, watching, stack)
                events += 1
            if now >= sample_due:
                sample_due = now + pace * _SAMPLE_SECONDS
                samples.append(_sample(process, url, now - begin, len(watching)))
            time.sleep(0.05)
        for viewer in watching:
            viewer.close()
        state = _get(url, "api/state")
    problems = [sink["problem"] for sink in state["sinks"] if sink["problem"]] + [
        state["source"]["problem"]
    ]
    return Verdict(tuple(samples), events, tuple(problem for problem in problems if problem))


def _happen(
    chance: random.Random,
    url: str,
    watching: list[contextlib.ExitStack],
    stack: contextlib.ExitStack,
) -> None:
    """One thing that drivers and viewers do."""
    state = _get(url, "api/state")
    names = [one["name"] for one in state["attributes"]]
    match chance.choice(
        ("join", "leave", "look", "look", "avatar", "record", "hide", "background", "mirror")
    ):
        case "join" if len(watching) < _MAX_VIEWERS:
            viewer = stack.enter_context(contextlib.ExitStack())
            viewer.enter_context(onlookers(url, 1, "receiving"))
            watching.append(viewer)
        case "leave" if watching:
            watching.pop(0).close()
        case "look" if names:
            _act(
                url,
                action="attribute",
                name=chance.choice(names),
                weight=chance.choice([0.0, 0.5, 1.0]),
            )
        case "avatar":
            _act(url, action="avatar", number=chance.randint(1, len(state["avatars"])))
        case "record":
            _act(url, action="record")
        case "hide":
            _act(url, action="hide")
        case "background":
            _act(url, action="background", background=chance.choice(state["backgrounds"]))
        case _:
            _act(url, action="mirror")


def _sample(process: psutil.Process, url: str, seconds: float, viewers: int) -> Sample:
    stats = _get(url, "api/stats")
    return Sample(
        round(seconds, 1),
        float("nan") if _get(url, "api/state")["hidden"] else stats["fps"],
        stats["latency_ms"] or float("nan"),
        round(process.memory_info().rss / 2**20, 1),
        process.num_threads(),
        process.num_fds(),
        viewers,
    )


def write_camera_film(face: Path, film: Path) -> None:
    """A film of a face, and then of the same room without anybody."""
    source = open_film(face)
    with film_writer(film, width=source.width, height=source.height, rate=source.rate) as writer:
        room = np.full((source.height, source.width, 3), 110, np.uint8)
        for frame in source.frames():
            if frame.time >= _WITH_FACE:
                break
            writer.write(frame.image)
        for _ in range(round(_WITHOUT_FACE * Fraction(source.rate))):
            writer.write(room)


@contextlib.contextmanager
def _session(
    avatars: Sequence[Path], film: Path, folder: Path, size: str, environment: dict[str, str]
) -> Generator[tuple[psutil.Process, str], None, None]:
    words = module_command(
        "perse_live.cli",
        "live",
        *(str(path.resolve()) for path in avatars),
        "--camera",
        str(film.resolve()),
        "--port",
        "0",
        "--no-browser",
        "--no-hotkeys",
        "--size",
        size,
    )
    with subprocess.Popen(
        words,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        found = re.match(r"ready: (\S+)", process.stdout.readline())
        assert found is not None, "the session does not start"
        try:
            yield psutil.Process(process.pid), found[1]
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _get(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}{path}", timeout=_PATIENCE) as reply:
        return json.load(reply)


def _act(url: str, **action: object) -> None:
    request = urllib.request.Request(
        f"{url}api/action", json.dumps(action).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_PATIENCE) as reply:
        reply.read()


# ----- for people


def table(verdict: Verdict) -> str:
    """The medians of each tenth of the time."""
    names = [field.name for field in fields(Sample)]
    lines = [" ".join(f"{name:>11}" for name in names)]
    for part in np.array_split(np.arange(len(verdict.samples)), min(10, len(verdict.samples))):
        values = [
            median([float(getattr(verdict.samples[k], name)) for k in part]) for name in names
        ]
        lines.append(" ".join(f"{value:>11.1f}" for value in values))
    grown = ", ".join(
        f"{name} {verdict.growth(name):+.1f}"
        for name in ("fps", "rss_mib", "threads", "descriptors")
    )
    return "\n".join(
        [*lines, f"{verdict.events} events; growth after the warm-up, without viewers: {grown}"]
    )


def median(values: Sequence[float]) -> float:
    """Of those that were measured; not a number where none was."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")


def plot(verdict: Verdict) -> Image.Image:
    """Each figure over time, one curve below the other."""
    names, width, tall = (
        ("fps", "latency_ms", "rss_mib", "threads", "descriptors", "viewers"),
        900,
        130,
    )
    image = Image.new("RGB", (width, tall * len(names)), "white")
    draw = ImageDraw.Draw(image)
    times = [one.seconds for one in verdict.samples]
    for row, name in enumerate(names):
        values = np.array([float(getattr(one, name)) for one in verdict.samples])
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        span, top = max(high - low, 1e-6), row * tall + 24
        points = [
            (
                10 + (width - 20) * time / max(times[-1], 1e-6),
                top + (tall - 34) * (1 - (value - low) / span),
            )
            for time, value in zip(times, values, strict=True)
            if np.isfinite(value)
        ]
        draw.line(points, fill=(30, 90, 180), width=2)
        draw.text(
            (10, row * tall + 6),
            f"{name}: {low:.1f} to {high:.1f}, over {times[-1]:.0f} s",
            fill="black",
        )
    return image


def main() -> None:
    """Read the command line, run, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("avatars", nargs="+", type=Path)
    parser.add_argument("--camera", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", default="512")
    parser.add_argument("--output", type=Path, required=True)
    words = parser.parse_args()
    words.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        verdict = soak(
            words.avatars,
            words.camera,
            seconds=60 * words.minutes,
            folder=Path(folder),
            seed=words.seed,
            size=words.size,
        )
    with (words.output / "soak.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in verdict.samples)
    plot(verdict).save(words.output / "soak.png")
    print(table(verdict))
    for problem in verdict.problems:
        print(f"complaint: {problem}")


if __name__ == "__main__":
    main()
