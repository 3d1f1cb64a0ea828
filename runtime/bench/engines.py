"""How fast each engine blends attributes of, poses and draws one avatar on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.errors import UserError
from perse_live.head.landmarks import LANDMARK_COUNT
from runtime.bench.drawing import SIZE, Timing
from runtime.engines.choose import choose_engine
from runtime.engines.contract import ON_GPU, EngineName
from runtime.performance import performance
from runtime.stage import Motion, Stage, facing_pose

_FRAMES, _WARM_UP = 60, 10
_STAGES = ("attributes", "animate", "render")


@dataclass(frozen=True)
class EngineBench:
    """One engine's figures, or why there are none."""

    engine: EngineName
    stages: dict[str, Timing]
    """Milliseconds: `attributes` (to other weights of all), `animate` (without attributes), `render`."""
    obstacle: str
    """Why the engine does not open; empty where it does."""


def bench_engines(
    avatar: Avatar,
    folder: Path,
    names: Sequence[EngineName],
    *,
    threads: int,
    progress: Callable[[str, float], None],
) -> tuple[EngineBench, ...]:
    """Measure each engine with an avatar that performs, at 512x512.

    folder: of the avatar's engines; progress: called with the current step and the fraction done. On a GPU every stage
    is waited for at its end, so that stages can be told apart; live drawing waits once a frame.
    """
    return tuple(_measured(avatar, folder, name, threads, progress) for name in names)


def _measured(
    avatar: Avatar,
    folder: Path,
    name: EngineName,
    threads: int,
    progress: Callable[[str, float], None],
) -> EngineBench:
    try:
        engine = choose_engine(name, folder, avatar, size=(SIZE, SIZE)).engine
    except UserError as error:
        return EngineBench(name, {}, str(error))
    camera: Camera = avatar.source.camera.resized(SIZE, SIZE)
    stage = Stage(avatar, camera, threads=threads, engine=engine)
    blender = stage.attribute_blender()
    random = np.random.default_rng(0)
    wait = _waiting(name)
    times: dict[str, list[float]] = {stage: [] for stage in _STAGES}
    frames = performance((_FRAMES + _WARM_UP) / 10, 10)
    residual = random.normal(0, 1e-4, (LANDMARK_COUNT, 3)).astype(np.float32)
    names = [one.name for one in avatar.attributes]
    for index, frame in enumerate(frames):
        pose = facing_pose(avatar, yaw=frame.yaw, pitch=frame.pitch, roll=frame.roll)
        motion = Motion(frame.expression, frame.gaze, pose, residual)
        weights = dict(zip(names, random.random(len(names)), strict=True))
        start = perf_counter()
        stage.set_avatar(blender.blend(weights))
        wait()
        blended = perf_counter()
        stage.set_avatar(blender.blend({}))
        wait()
        unblended = perf_counter()
        gaussians = stage.pose(motion)
        wait()
        posed = perf_counter()
        stage.render(gaussians, background=(0.85, 0.86, 0.87))
        took = (blended - start, posed - unblended, perf_counter() - posed)
        if index >= _WARM_UP:
            for key, seconds in zip(_STAGES, took, strict=True):
                times[key].append(1000 * seconds)
        progress(f"engine {name}", (index + 1) / len(frames))
    if not names:
        del times["attributes"]
    return EngineBench(
        name,
        {
            key: Timing(float(np.median(values)), float(np.percentile(values, 95)))
            for key, values in times.items()
        },
        "",
    )


def _waiting(name: EngineName) -> Callable[[], None]:
    """Waits until the engine has done what it was told."""
    if name not in ON_GPU:
        return lambda: None
    import torch

    return torch.cuda.synchronize
