"""Measures live sessions with real viewers."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import psutil

from perse_live.child import module_command
from perse_live.errors import UserError
from runtime.bench.live.answers import camera_answers, key_answers
from runtime.bench.live.chromium import chromium_missing
from runtime.bench.live.crowd import onlookers
from runtime.bench.live.fading import Fading, intervals_in_fades
from runtime.bench.live.figures import LATE, LiveFigures, Spread, spread_of
from runtime.bench.live.nodding_film import write_nodding_film
from runtime.bench.live.spectator import SETTLE_SECONDS as _SETTLE_SECONDS
from runtime.bench.live.stamps import Stamping
from runtime.hotkeys.keymap import key_map
from runtime.live.run import LiveOptions, Opened, open_live
from runtime.live.session import LiveSession
from runtime.live.settings import Settings
from runtime.sources.open import BROWSER

_START_SECONDS = 120.0  # the first start ever compiles
_STARTS = 2  # of which the quicker one counts: the first may still compile
# Two colours far apart in every channel
_KEYS = {"b": "background 00a040", "v": "background c02030"}
_CAMERA_SECONDS = (8.0, 45.0)


def check_live(seconds: float, viewers: int, load: int) -> None:
    """Raise UserError for what cannot be measured."""
    if seconds < 5:
        raise UserError(f"--seconds {seconds:g} is too short to say anything: give at least 5")
    for name, value, most in (("viewers", viewers, 15), ("load", load, 64)):
        if not 0 <= value <= most:
            raise UserError(f"--{name} {value} is out of range: give 0 to {most}")


def bench_live(
    options: LiveOptions,
    video: Path,
    *,
    seconds: float,
    viewers: int,
    progress: Callable[[str, float], None],
) -> tuple[LiveFigures, list[str]]:
    """Measure a session of an avatar that follows a face in a video, and one that follows the browser's camera.

    options: of the first session; seconds, viewers: as `check_live` allows them. Returns the figures, and what could not be
    measured and why. Raises UserError for files that cannot be used.
    """
    missing = chromium_missing()
    complaints = (
        [f"hotkey and browser camera are not measured, and the viewer is aiortc: {missing}"]
        if missing
        else []
    )
    settings = Settings(keys=key_map(_KEYS, {}, where="bench"))
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "nodding.y4m"
        write_nodding_film(video, film)
        progress("starting perse-live live", 0.0)
        start = min(_start_to_ready(options.avatars[0], video) for _ in range(_STARTS))
        progress("starting perse-live live", 1.0)
        if missing:
            figures = _watched_by_aiortc(options, settings, seconds, progress)
        else:
            figures = _watched_by_chromium(options, settings, film, seconds, progress)
            answer = _camera_to_answer(
                replace(options, camera=BROWSER), settings, film, seconds, progress
            )
            figures = replace(figures, camera_to_answer=answer)
            if answer is None:
                complaints.append(
                    f"browser camera: no answer seen; is there a face in the first picture of {video}?"
                )
        if viewers:
            cost = _cost_per_viewer(options, settings, viewers, max(6.0, seconds / 4), progress)
            figures = replace(figures, extra_viewers=viewers, cost_per_viewer=cost)
    return replace(figures, start_to_ready_s=round(start, 2)), complaints


def _start_to_ready(avatar: Path, video: Path) -> float:
    """Seconds from the start of the command to its line `ready`."""
    words = module_command(
        "perse_live.cli",
        "live",
        str(avatar),
        "--camera",
        str(video),
        "--port",
        "0",
        "--no-browser",
        "--no-hotkeys",
        "--seconds",
        "0.2",
    )
    begin = time.monotonic()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as process:
        timer = threading.Timer(_START_SECONDS, process.kill)
        timer.start()
        try:
            assert process.stdout is not None and process.stderr is not None
            for line in process.stdout:
                if line.startswith("ready:"):
                    return time.monotonic() - begin
            raise UserError(
                f"perse-live live does not start: {' '.join(process.stderr.read().split())[-300:]}"
            )
        finally:
            timer.cancel()


# ----- what goes on while somebody watches


@dataclass(frozen=True)
class _Watched:
    """The session's records while it was watched."""

    drawn: dict[int, float]
    """When each stamp was drawn, seconds of `time.time()`."""
    fps: float
    stats: dict[str, Any]
    memory: list[float]
    """MiB, twice a second."""
    fades: list[float]
    """When attributes began to fade, seconds of `time.time()`."""


class _Watching:
    """Collects from `begin` to `end`."""

    def __init__(self, opened: Opened, stamping: Stamping) -> None:
        self._opened, self._stamping = opened, stamping
        self._fading = Fading(opened.session)
        self._memory: list[float] = []
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="memory", daemon=True)

    def begin(self) -> None:
        self._begin = time.time()
        self._sampler.start()
        self._fading.begin()

    def end(self) -> None:
        """Needs to have begun."""
        self._end = time.time()
        self._stats = self._opened.session.stats()
        self._over.set()
        self._sampler.join()
        self._fades = self._fading.end()

    def _sample(self) -> None:
        process = psutil.Process()
        while not self._over.wait(0.5):
            self._memory.append(process.memory_info().rss / 2**20)

    def watched(self) -> _Watched:
        times = self._stamping.times(self._begin, self._end)
        fps = round(len(times) / (self._end - self._begin), 1)
        return _Watched(times, fps, cast("dict[str, Any]", self._stats), self._memory, self._fades)


@contextlib.contextmanager
def _session(
    options: LiveOptions, settings: Settings
) -> Generator[tuple[Opened, _Watching], None, None]:
    stampings: list[Stamping] = []

    def shown(session: LiveSession) -> Stamping:
        stampings.append(Stamping(session))
        return stampings[0]

    with open_live(options, settings, shown=shown) as opened:
        yield opened, _Watching(opened, stampings[0])


def _figures(
    watched: _Watched, seconds: float, *, viewer: str, shown: Sequence[Sequence[float]]
) -> LiveFigures:
    """shown: of each picture its stamp, when it was seen, and where known when it was received; seconds of `time.time()`."""
    stats, memory = watched.stats, watched.memory
    known = [one for one in shown if one[0] in watched.drawn]
    to_canvas = [1000 * (one[1] - watched.drawn[int(one[0])]) for one in known]
    to_received = [
        1000 * (one[2] - watched.drawn[int(one[0])]) for one in known if len(one) > 2 and one[2]
    ]
    fading = intervals_in_fades(watched.drawn.values(), watched.fades)
    governor = stats["governor"]
    tenth = max(1, len(memory) // 10)
    return LiveFigures(
        viewer=viewer,
        seconds=seconds,
        start_to_ready_s=0.0,
        fps_drawn=watched.fps,
        fps_shown=round(len(shown) / seconds, 1),
        drawn_at=governor["reason"] or "full size",
        stages_ms={name: one["ms"] for name, one in stats["stages"].items()},
        arrival_to_drawn_ms=stats["latency_ms"],
        drawn_to_canvas=spread_of(to_canvas),
        drawn_to_received=spread_of(to_received),
        hotkey_to_change=None,
        camera_to_answer=None,
        frame_in_fade=spread_of(fading),
        late_in_fades=sum(one > LATE for one in fading) if fading else None,
        memory_start_mib=round(statistics.median(memory[tenth : 2 * tenth] or memory), 1),
        memory_end_mib=round(statistics.median(memory[-tenth:]), 1),
        extra_viewers=0,
        cost_per_viewer=None,
    )


def _watched_by_chromium(
    options: LiveOptions,
    settings: Settings,
    film: Path,
    seconds: float,
    progress: Callable[[str, float], None],
) -> LiveFigures:
    step = f"{seconds:.0f} s watched by Chromium"
    with _session(options, settings) as (opened, watching):
        noted = _spectator(
            opened.url,
            film,
            seconds,
            "keys",
            begin=watching.begin,
            end=watching.end,
            progress=lambda share: progress(step, share),
        )
    figures = _figures(
        watching.watched(), noted["seconds"], viewer=noted["viewer"], shown=noted["shown"]
    )
    times = np.array([one[0] for one in noted["pictures"]])
    red = np.array([one[1] > one[2] for one in noted["pictures"]])
    return replace(figures, hotkey_to_change=spread_of(key_answers(noted["keys"], times, red)))


def _camera_to_answer(
    options: LiveOptions,
    settings: Settings,
    film: Path,
    seconds: float,
    progress: Callable[[str, float], None],
) -> Spread | None:
    seconds = min(max(seconds, _CAMERA_SECONDS[0]), _CAMERA_SECONDS[1])
    step = f"{seconds:.0f} s of the browser's camera"
    with _session(options, settings) as (opened, _):
        noted = _spectator(
            opened.url, film, seconds, "camera", progress=lambda share: progress(step, share)
        )
    if noted["problem"]:
        raise UserError(f"the browser's camera cannot be measured: {noted['problem']}")
    return spread_of(camera_answers(noted["marks"], noted["pictures"]))


def _nothing() -> None: ...


def _spectator(
    url: str,
    film: Path,
    seconds: float,
    what: Literal["keys", "camera"],
    *,
    progress: Callable[[float], None],
    begin: Callable[[], None] = _nothing,
    end: Callable[[], None] = _nothing,
) -> dict[str, Any]:
    """Let Chromium watch from another process; what it noted. begin, end: called when what counts begins and ends."""
    words = module_command(
        "runtime.bench.live.spectator", url, str(film), str(seconds), what, str(_SETTLE_SECONDS)
    )
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=complaints, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith('{"begin"'):
                    begin()
                elif line.startswith('{"done"'):
                    progress(json.loads(line)["done"])
                else:  # not read before the session's memory was
                    end()
                    progress(1.0)
                    return json.loads(line)
            complaints.seek(0)
            lines = complaints.read().strip().splitlines()
            raise UserError(
                f"Chromium cannot watch: {lines[-1][:300] if lines else 'it has ended'}"
            )
        finally:
            process.terminate()


# ----- viewers that are no browsers


def _watched_by_aiortc(
    options: LiveOptions, settings: Settings, seconds: float, progress: Callable[[str, float], None]
) -> LiveFigures:
    step = f"{seconds:.0f} s watched by aiortc"
    with (
        _session(options, settings) as (opened, watching),
        onlookers(opened.url, 1, "decoding") as end,
    ):
        time.sleep(_SETTLE_SECONDS)
        begin = time.time()
        watching.begin()
        _sleep(seconds, step, progress)
        watching.end()
        over = time.time()
        shown = [one for one in end() if begin <= one[1] <= over]
    return _figures(watching.watched(), over - begin, viewer="aiortc", shown=shown)


def _cost_per_viewer(
    options: LiveOptions,
    settings: Settings,
    viewers: int,
    seconds: float,
    progress: Callable[[str, float], None],
) -> float:
    """Percent of a core; the first viewer, who makes it encode at all, is not counted."""
    with _session(options, settings) as (opened, _), onlookers(opened.url, 1, "receiving") as end:
        alone = _busy(seconds, "1 viewer", progress)
        with onlookers(opened.url, viewers, "receiving") as end_all:
            together = _busy(seconds, f"{viewers + 1} viewers", progress)
            end_all()
        end()
    return round(100 * (together - alone) / viewers, 2)


def _busy(seconds: float, step: str, progress: Callable[[str, float], None]) -> float:
    """Of how many cores this process makes use."""
    time.sleep(_SETTLE_SECONDS)
    begin, used = time.monotonic(), time.process_time()
    _sleep(seconds, step, progress)
    return (time.process_time() - used) / (time.monotonic() - begin)


def _sleep(seconds: float, step: str, progress: Callable[[str, float], None]) -> None:
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        progress(step, passed / seconds)
        time.sleep(min(0.5, seconds - passed))
    progress(step, 1.0)
