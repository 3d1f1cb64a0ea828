"""`perse-live bench`: how fast this machine draws, or how a live session does on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.cli.console import print_json, print_table, printable, step_progress, warn
from perse_live.cli.options import JsonSwitch, Network
from perse_live.cli.shared import BUILDING_ASSETS, TRACKING_ASSETS, fetch
from perse_live.errors import UserError
from perse_live.extras import missing_extra
from perse_live.memory import keep_heap_small

if TYPE_CHECKING:
    from runtime.bench.drawing import Timing
    from runtime.bench.live.unwatched import Unwatched

_OF_LIVE = ("seconds", "viewers", "unwatched", "size", "load")  # options of --live


@dataclass(frozen=True)
class Bench:
    """Measure how fast this machine draws: milliseconds per stage, and frames per second. With --live, measure a live session."""

    avatar: Annotated[Positional[Path | None], arg(metavar="AVATAR")] = None
    """An avatar file (.perse) to compare engines with; without it a synthetic head is drawn."""
    engine: Literal["all", "cpu", "onnx", "torch", "tensorrt", "tensorrt-rtx"] | None = None
    """Which engine to measure with the avatar; all without."""
    engine_folder: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of its engines; by default NAME.engines next to the avatar. perse-live export --engines makes them."""
    live: Annotated[tuple[Path, Path] | None, arg(metavar="AVATAR VIDEO")] = None
    """Measure a real session instead: the avatar follows the face in the video, first without viewers, then watched in
    Chromium where it is installed (driven by the package playwright): rates, delays, processor time by thread, memory, what a
    viewer costs, and how soon it starts."""
    seconds: float = 20.0
    """Seconds for which --live and --studio measure."""
    viewers: int = 7
    """Number of viewers that join --live afterwards, 0 to 15."""
    unwatched: bool = False
    """With --live, measure only the session without viewers: rates, processor time by thread, what the governor does."""
    size: str = "512"
    """Picture size of the session without viewers, pixels, such as 512 or 1280x720."""
    load: int = 0
    """Number of busy programs that run next to the session without viewers, 0 to 64."""
    start: Annotated[tuple[Path, Path] | None, arg(metavar="AVATAR VIDEO")] = None
    """Measure the start-up time of drive instead: it is started four times on the video's first frame."""
    peers: bool = False
    """Measure instead how fast other viewers (GaussianSplats3D and Spark, fetched by npm) draw the avatar, or the
    synthetic head, in Chromium without a GPU, compared with this program."""
    studio: Annotated[Path | None, arg(metavar="PHOTO")] = None
    """Measure the studio instead, in Chromium whose camera shows this photo: page load, camera picture, build,
    live, and the live picture's rate while looks are learned, for --seconds."""
    json: JsonSwitch = False
    """Print one JSON object instead of a table."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Bench) -> None:
    """Measure, and print what was measured."""
    _check(command)
    if command.peers:
        _run_peers(command)
        return
    if command.avatar is not None:
        _run_engines(command, command.avatar)
        return
    if command.start is not None:
        _run_start(command, *command.start)
        return
    if command.live is not None:
        _run_live(command, *command.live)
        return
    if command.studio is not None:
        _run_studio(command, command.studio)
        return
    from runtime.bench.drawing import SIZE, bench, machine

    with step_progress() as progress:
        results = bench(progress=progress)
    if command.json:
        print_json(
            {
                "machine": machine(),
                "width": SIZE,
                "height": SIZE,
                "results": [{**asdict(result), "fps": result.fps} for result in results],
            }
        )
        return
    print_table(machine())
    for result in results:
        print(
            f"{result.visible:>6,} visible, {result.threads} thread{'s' if result.threads > 1 else ' '}: {result.fps:4.0f} fps;"
            f" ms median (p95): {_line(result.stages)}"
        )


def _check(command: Bench) -> None:
    """Raises UserError for options that do not go together: none is ignored."""
    modes = [
        name
        for name, given in (
            ("--live", command.live is not None),
            ("--start", command.start is not None),
            ("--peers", command.peers),
            ("--studio", command.studio is not None),
        )
        if given
    ]
    if len(modes) > 1:
        raise UserError(f"{' and '.join(modes)} measure different things: give one of them")
    if command.avatar is not None and modes and not command.peers:
        raise UserError(f"{modes[0]} takes no other avatar: leave {command.avatar} out")
    if command.engine is not None or command.engine_folder is not None:
        if modes:
            raise UserError(
                f"--engine and --engine-folder do not go with {modes[0]}: leave them out"
            )
        if command.avatar is None:
            raise UserError(
                "engines are made for one avatar: name its file, perse-live bench ME.perse --engine all"
            )
    of_live = [f"--{name}" for name in _OF_LIVE if getattr(command, name) != getattr(Bench, name)]
    if of_live == ["--seconds"] and command.studio is not None:
        return
    if of_live and command.live is None:
        raise UserError(f"{of_live[0]} goes with --live: add --live AVATAR VIDEO, or leave it out")


def _run_live(command: Bench, avatar: Path, video: Path) -> None:
    from runtime.bench.drawing import machine
    from runtime.bench.live.measure import bench_live, check_live
    from runtime.bench.live.unwatched import bench_unwatched
    from runtime.live.run import LiveOptions, parse_size
    from runtime.live.settings import Settings
    from runtime.web.server import WebConfig

    check_live(command.seconds, command.viewers, command.load)
    keep_heap_small()  # as in `live`
    width, height = parse_size(command.size)
    options = LiveOptions(
        (avatar,),
        camera=str(video),
        hotkeys=False,
        browser=False,
        threads=min(os.cpu_count() or 1, 4),
        web=WebConfig(port=0),
    )
    with step_progress() as progress:
        fetch(TRACKING_ASSETS, command.network, progress)
        alone = bench_unwatched(
            replace(options, width=width, height=height),
            Settings(),
            seconds=command.seconds,
            load=command.load,
            progress=progress,
        )
        if command.unwatched:
            _print_unwatched(command, alone)
            return
        figures, complaints = bench_live(
            options, video, seconds=command.seconds, viewers=command.viewers, progress=progress
        )
    for complaint in complaints:
        warn(complaint)
    if command.json:
        print_json(
            {
                "machine": machine(),
                "unwatched": asdict(alone),
                "live": {**asdict(figures), "memory_growth_mib": figures.memory_growth_mib},
                "not_measured": complaints,
            }
        )
        return
    print_table({**machine(), **alone.rows(), **figures.rows()})


def _print_unwatched(command: Bench, alone: Unwatched) -> None:
    from runtime.bench.drawing import machine

    if command.json:
        print_json({"machine": machine(), "unwatched": asdict(alone)})
    else:
        print_table({**machine(), **alone.rows()})


def _run_start(command: Bench, avatar: Path, video: Path) -> None:
    from runtime.bench.drawing import machine
    from runtime.bench.start import bench_start

    with step_progress() as progress:
        fetch(TRACKING_ASSETS, command.network, progress)
        times = bench_start(avatar, video, progress=progress)
    if command.json:
        print_json({"machine": machine(), "start": asdict(times)})
        return
    print_table(
        {
            **machine(),
            "first start of drive, s": f"{times.first:.2f}",
            "later ones, median s": f"{times.median:.2f}",
            "processor time of these, s": f"{times.median_cpu:.2f}",
        }
    )


def _run_studio(command: Bench, photo: Path) -> None:
    from runtime.bench.drawing import machine
    from runtime.bench.studio import bench_studio

    if not 5 <= command.seconds <= 600:
        raise UserError(f"--seconds {command.seconds:g} is out of range: give 5 to 600")
    with step_progress() as progress:
        fetch(BUILDING_ASSETS, command.network, progress)
        figures = bench_studio(photo, seconds=command.seconds, progress=progress)
    if command.json:
        print_json({"machine": machine(), "studio": asdict(figures)})
        return
    print_table({**machine(), **figures.rows()})


def _run_engines(command: Bench, path: Path) -> None:
    from perse_live.avatar import load_avatar
    from perse_live.engines.folder import default_engine_folder
    from runtime.bench.drawing import SIZE, machine
    from runtime.bench.engines import bench_engines
    from runtime.engines.contract import ENGINES

    avatar = load_avatar(path)
    names = ENGINES if command.engine in (None, "all") else (command.engine,)
    with step_progress() as progress:
        results = bench_engines(
            avatar,
            command.engine_folder or default_engine_folder(path),
            names,
            threads=min(os.cpu_count() or 1, 4),
            progress=progress,
        )
    if command.json:
        print_json(
            {
                "machine": machine(),
                "width": SIZE,
                "height": SIZE,
                "avatar": str(path),
                "gaussians": len(avatar),
                "engines": [asdict(result) for result in results],
            }
        )
        return
    print_table({**machine(), "avatar": str(path), "gaussians": len(avatar)})
    for result in results:
        print(
            f"{result.engine:<13} {printable(result.obstacle) or f'ms median (p95): {_line(result.stages)}'}"
        )


def _run_peers(command: Bench) -> None:
    import numpy as np

    try:
        from export.ply import ply_bytes
        from export.state import state_gaussians
    except ModuleNotFoundError as error:
        raise missing_extra("writing the avatar for other viewers", "export", error) from error
    from perse_live.avatar import load_avatar
    from perse_live.head.expressions import expression
    from runtime.bench.drawing import machine, synthetic_avatar
    from runtime.bench.peers.measure import SIZE, bench_peers

    avatar = (
        synthetic_avatar(20_000, np.random.default_rng(0))
        if command.avatar is None
        else load_avatar(command.avatar)
    )
    gaussians = state_gaussians(avatar, attributes={}, expression=expression())
    with step_progress() as progress:
        result = bench_peers(
            gaussians, ply_bytes(gaussians), offline=command.network.offline, progress=progress
        )
    if command.json:
        print_json({"machine": machine(), "width": SIZE, "height": SIZE, **asdict(result)})
        return
    print_table(
        {
            **machine(),
            "browser": result.browser,
            "Gaussians": result.gaussians,
            "our threads": result.threads,
        }
    )
    ours = result.viewers[0].fps
    for one in result.viewers:
        figures = (
            f"{one.fps:6.1f} fps, {one.median_ms:7.1f} ms a frame, {one.frames} frames, {one.fps / ours:.3f} of ours"
            if one.fps
            else "not measured"
        )
        print(f"{one.viewer:<26} {figures}{f': {printable(one.obstacle)}' if one.obstacle else ''}")


def _line(stages: Mapping[str, Timing]) -> str:
    return ", ".join(
        f"{name} {timing.median_ms:.2f} ({timing.p95_ms:.2f})" for name, timing in stages.items()
    )
