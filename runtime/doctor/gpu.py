"""Runs the whole GPU path on this machine: compiles, draws, compares with the CPU, counts synchronisations, times."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.avatar import Avatar
from perse_live.engines.nvidia import find_gpu
from perse_live.errors import gist, one_line
from perse_live.gaussians import Gaussians
from perse_live.regions import Region
from perse_live.splatting.backend import Rasterizer
from perse_live.splatting.cpu import CpuRasterizer
from runtime.attributes import with_default_attributes
from runtime.bench.drawing import SIZE, synthetic_avatar
from runtime.doctor.finding import Finding, never_raising
from runtime.engines.choose import Wish, choose_engine
from runtime.engines.contract import ON_GPU, Engine
from runtime.performance import performance
from runtime.stage import Motion, Stage, facing_pose

Progress = Callable[[str, float], None]

_VISIBLE = 30_000  # Gaussians of the synthetic head that are seen, about
_BACKGROUND = (0.8, 0.8, 0.8)
_RUNS = 200  # frames that are timed
_CONCURRENT_FRAMES = 30  # frames while another thread makes posers
_TOLERANCE = 1  # steps of 8 bits that two backends may differ by ...
_APART = 2e-3  # ... but for this share of the values, where rounding decides what is drawn
_MAX_SYNCHRONIZATIONS = 1  # gsplat reads back how many tiles the Gaussians meet


def gpu_missing() -> str:
    """Why there is no GPU to examine, one clause; empty where there is one."""
    try:
        find_gpu()
    except RuntimeError as error:
        return str(error)
    return ""


def examine_gpu(
    avatar: Avatar | None, folder: Path, *, progress: Progress = lambda *_: None
) -> list[Finding]:
    """Compile gsplat, compare its pictures with numba's, and draw with each engine; minutes the first time.

    avatar: to draw; None: a synthetic head; folder: of its engines. `gpu_missing` must be empty. A finding of status "problem" is
    something that a session on this GPU would suffer from; an engine that is not installed or not exported is a warning.
    """
    shown = with_default_attributes(avatar if avatar is not None else _synthetic_avatar())
    progress("gsplat compiles, or is loaded", 0.0)
    findings = [_gpu(), _gsplat()]
    if findings[-1].status == "ok":
        progress("gsplat against numba", 0.2)
        findings.append(_pictures(shown))
        for number, name in enumerate(reversed(ON_GPU)):
            progress(f"engine {name}", 0.4 + 0.2 * number)
            findings.append(_engine(name, lambda name=name: _opened(name, folder, shown), shown))
    progress("examined", 1.0)
    return findings


def _synthetic_avatar() -> Avatar:
    """A head whose hair can be tinted."""
    avatar = synthetic_avatar(_VISIBLE, np.random.default_rng(0))
    regions = avatar.regions.copy()
    regions[len(avatar.surface.triangles) :] = Region.HAIR
    return replace(avatar, regions=regions)


@never_raising("GPU")
def _gpu() -> Finding:
    import torch

    free, total = torch.cuda.mem_get_info()
    return Finding(
        "GPU",
        "ok",
        f"{find_gpu().label}, {free >> 20} of {total >> 20} MiB free; torch {torch.__version__}, CUDA"
        f" {torch.version.cuda}",
    )


@never_raising("gsplat")
def _gsplat() -> Finding:
    from runtime.engines.torch_gpu import gpu_obstacles

    start = time.perf_counter()
    causes = gpu_obstacles()
    if causes:
        return Finding(
            "gsplat", "problem", "; ".join(causes), "docs/engines.md says what an NVIDIA GPU needs"
        )
    took = time.perf_counter() - start
    return Finding(
        "gsplat", "ok", f"compiled or loaded, and drawing as the reference does, in {took:.1f} s"
    )


@never_raising("gsplat's picture")
def _pictures(avatar: Avatar) -> Finding:
    from perse_live.splatting.cuda import CudaRasterizer

    return compare_rasterizers(CudaRasterizer(SIZE, SIZE), avatar)


def compare_rasterizers(rasterizer: Rasterizer, avatar: Avatar, *, runs: int = _RUNS) -> Finding:
    """Compare a rasteriser with numba's on SIZE x SIZE pictures, and time it."""
    from perse_live.animator import Animator

    camera = avatar.source.camera.resized(SIZE, SIZE)
    motion = _motions(avatar, 1)[0]
    posed: Gaussians = Animator(avatar, threads=2).pose(motion.expression, motion.gaze, motion.pose)
    expected = CpuRasterizer(SIZE, SIZE, threads=2).render(posed, camera, background=_BACKGROUND)

    def draw() -> UInt8Array:
        return rasterizer.render(posed, camera, background=_BACKGROUND)

    apart = _share_beyond_tolerance(draw(), expected)
    text = f"{apart:.3%} of its values differ from numba's by more than {_TOLERANCE}; {_timed(draw, runs)} with upload"
    return Finding("gsplat's picture", "ok" if apart < _APART else "problem", text)


def _opened(name: Wish, folder: Path, avatar: Avatar) -> Engine:
    return choose_engine(name, folder, avatar, size=(SIZE, SIZE)).engine


def _engine(name: str, open_engine: Callable[[], Engine], avatar: Avatar) -> Finding:
    """An engine that does not open is a warning, but for torch's, which needs nothing that gsplat does not need."""
    start = time.perf_counter()
    try:
        engine = open_engine()
    except Exception as error:
        return Finding(
            f"engine {name}", "problem" if name == "torch" else "warning", one_line(error)
        )
    opened = time.perf_counter() - start
    checked = never_raising(f"engine {name}")(compare_engine)(engine, avatar)
    return replace(checked, found=f"opened in {opened:.1f} s; {checked.found}")


def compare_engine(
    engine: Engine,
    avatar: Avatar,
    *,
    runs: int = _RUNS,
    concurrent_frames: int = _CONCURRENT_FRAMES,
) -> Finding:
    """Compare frames in several looks with the CPU engine's; count synchronisations that torch makes in a frame, times, and
    frames while another thread makes posers.
    """
    from runtime.engines.cpu import CpuEngine

    camera = avatar.source.camera.resized(SIZE, SIZE)
    ours = Stage(avatar, camera, threads=2, engine=engine)
    theirs = Stage(avatar, camera, threads=2, engine=CpuEngine())
    blenders = ours.attribute_blender(), theirs.attribute_blender()
    names = [one.name for one in avatar.attributes]
    looks = ({}, dict.fromkeys(names[:1], 0.4), dict.fromkeys(names[-2:], 0.8), {})
    motions = _motions(avatar, len(looks))
    apart = 0.0
    for weights, motion in zip(looks, motions, strict=True):
        for stage, blender in zip((ours, theirs), blenders, strict=True):
            stage.set_avatar(blender.blend(weights))
        apart = max(
            apart,
            _share_beyond_tolerance(
                ours.draw(motion, background=_BACKGROUND),
                theirs.draw(motion, background=_BACKGROUND),
            ),
        )
    motion = motions[0]

    def draw() -> UInt8Array:
        return ours.draw(motion, background=_BACKGROUND)

    expected = draw().copy()
    waits = synchronizations(draw)
    failure = (
        ""
        if concurrent_frames == 0
        else _failure_with_concurrent_thread(engine, avatar, draw, expected, concurrent_frames)
    )
    text = (
        f"{apart:.3%} of its values differ from the CPU's by more than {_TOLERANCE}; {waits} implicit synchronisations in a"
        f" frame; posing {_timed(lambda: ours.pose(motion), runs)}, a frame {_timed(draw, runs)}"
    )
    if failure:
        text = f"{text}; beside another thread: {failure}"
    sound = apart < _APART and waits <= _MAX_SYNCHRONIZATIONS and not failure
    return Finding(f"engine {engine.name}", "ok" if sound else "problem", text)


def _motions(avatar: Avatar, count: int) -> list[Motion]:
    frames = performance(12.0, 10.0)
    chosen = [frames[k] for k in np.linspace(0, len(frames) - 1, count + 2).astype(int)[1:-1]]
    return [
        Motion(
            one.expression,
            one.gaze,
            facing_pose(avatar, yaw=one.yaw, pitch=one.pitch, roll=one.roll),
        )
        for one in chosen
    ]


def _share_beyond_tolerance(found: UInt8Array, expected: UInt8Array) -> float:
    """Share of the values that are further apart than rounding explains."""
    return float((np.abs(found.astype(np.int16) - expected) > _TOLERANCE).mean())


def _timed(work: Callable[[], object], runs: int) -> str:
    """Median and 95th percentile, each run waited for."""
    import torch

    times: list[float] = []
    for _ in range(runs + runs // 10):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    kept = times[runs // 10 :]
    return f"{np.median(kept):.2f} ms (p95 {np.percentile(kept, 95):.2f})"


def synchronizations(work: Callable[[], object]) -> int:
    """How often torch's operations wait for the device within some work; explicit waits on events do not count."""
    import torch

    if not torch.cuda.is_available():
        work()
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(one.message) for one in caught)


def _failure_with_concurrent_thread(
    engine: Engine,
    avatar: Avatar,
    draw: Callable[[], UInt8Array],
    expected: UInt8Array,
    frames: int,
) -> str:
    """What fails when frames are drawn while another thread makes posers, as `live` does when it draws fewer Gaussians."""
    stop = threading.Event()
    failures: list[str] = []

    def make() -> None:
        while not stop.is_set():
            try:
                poser: Any = engine.poser(avatar, threads=1)
                poser.attribute_blender().blend({})
            except Exception as error:
                failures.append(gist(error))
                return

    thread = threading.Thread(target=make, name="makes posers")
    thread.start()
    try:
        for _ in range(frames):
            if (draw() != expected).any():
                failures.append("a frame came out differently")
                break
    except Exception as error:
        failures.append(gist(error))
    finally:
        stop.set()
        thread.join()
    return "; ".join(failures)
