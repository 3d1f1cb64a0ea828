"""How fast this machine draws an avatar, stage by stage."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.animator import Animator
from perse_live.avatar import Avatar, LandmarkBinding, Provenance, Source
from perse_live.camera import Camera
from perse_live.head.expressions import EXPRESSION_COUNT
from perse_live.head.landmarks import LANDMARK_COUNT, load_landmark_model
from perse_live.head.rig import HeadRig, Part
from perse_live.splatting.backend import open_rasterizer
from runtime.performance import performance
from runtime.stage import facing_pose

SIZE = 512
"""Width and height of the picture, pixels."""
VISIBLE = (10_000, 20_000, 50_000)
"""How many Gaussians are drawn; an avatar has about as many again on its far side, which are posed but not drawn."""
_FRAMES = 90
_WARM_UP = 10
_VERTICES = 6_500  # as a rig with shoulders has
_FACING = 0.58  # share of a closed surface that is seen: a little more than half, as what is nearly edge-on is drawn too
_RADII = (0.085, 0.125, 0.1)  # metres; an ellipsoid of a head's size
_CENTER = (0.0, 0.0, -0.1)  # in the head frame, whose origin is between the eyes
_DISTANCE = 1.0  # metres


@dataclass(frozen=True)
class Timing:
    """One stage over many frames."""

    median_ms: float
    """Milliseconds of the middle frame."""
    p95_ms: float
    """Milliseconds that 95 of 100 frames stay within."""


@dataclass(frozen=True)
class BenchResult:
    """One number of Gaussians on one number of threads."""

    visible: int
    """Gaussians that reach the picture, mean over the frames."""
    threads: int
    """That animation and drawing may use."""
    stages: dict[str, Timing]
    """By name; `total` is all work of a frame."""

    @property
    def fps(self) -> float:
        """Frames per second at the median."""
        return 1000.0 / self.stages["total"].median_ms


def bench(*, progress: Callable[[str, float], None]) -> tuple[BenchResult, ...]:
    """Measure animating and drawing a head of Gaussians that performs, at 512x512.

    The head is synthetic (an ellipsoid with 52 random actions), so that nothing need be built or loaded first.
    progress: called with the current step and the fraction done.
    """
    cores = os.cpu_count() or 1
    return tuple(
        _measure(visible, threads, progress)
        for visible in VISIBLE
        for threads in sorted({1, min(2, cores)})
    )


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _measure(visible: int, threads: int, progress: Callable[[str, float], None]) -> BenchResult:
    step = f"{visible:,} Gaussians, {threads} thread{'s' if threads > 1 else ''}"
    progress(step, 0.0)
    avatar = synthetic_avatar(visible, np.random.default_rng(0))
    camera = avatar.source.camera
    animator, rasterizer = (
        Animator(avatar, threads=threads),
        open_rasterizer(SIZE, SIZE, device="auto", threads=threads),
    )
    residual = np.random.default_rng(1).normal(0, 1e-4, (LANDMARK_COUNT, 3)).astype(np.float32)
    times: defaultdict[str, list[float]] = defaultdict(list)
    drawn: list[int] = []
    frames = performance((_FRAMES + _WARM_UP) / 10, 10)
    for index, frame in enumerate(frames):
        pose = facing_pose(avatar, yaw=frame.yaw, pitch=frame.pitch, roll=frame.roll)
        start = perf_counter()
        gaussians = animator.pose(frame.expression, frame.gaze, pose, residual=residual)
        posed = perf_counter()
        rasterizer.render(gaussians, camera, background=(0.0, 0.0, 0.0))
        end = perf_counter()
        if index >= _WARM_UP:  # the first frames also compile, or load what was compiled
            times["animate"].append(1000 * (posed - start))
            for stage, milliseconds in rasterizer.stage_times().items():
                times[stage].append(milliseconds)
            times["total"].append(1000 * (end - start))
            drawn.append(int((gaussians.opacities > 0).sum()))
        progress(step, (index + 1) / len(frames))
    stages = {
        name: Timing(float(np.median(values)), float(np.percentile(values, 95)))
        for name, values in times.items()
    }
    return BenchResult(round(float(np.mean(drawn))), threads, stages)


def synthetic_avatar(visible: int, random: np.random.Generator) -> Avatar:
    """An avatar of nobody, facing a camera of 512x512: an ellipsoid with hair, random colours and random actions.

    visible: Gaussians seen from the front, about. Its landmarks are the vertices nearest to those of a mean face.
    """
    rig, surface, rigid = _synthetic_head(visible, random)
    count = len(surface.triangles) + len(rigid.means)
    face = load_landmark_model().neutral
    nearest = np.array(
        [np.linalg.norm(rig.vertices - point, axis=1).argmin() for point in face], np.int32
    )
    front = np.nonzero(rig.vertices[:, 2] > _CENTER[2])[0].astype(np.int32)
    landmarks = LandmarkBinding(
        np.repeat(nearest[:, None], 3, 1),
        np.full((LANDMARK_COUNT, 3), 1 / 3, np.float32),
        front,
        random.normal(0, 0.01, (len(front), LANDMARK_COUNT)).astype(np.float32),
    )
    facing, away = np.diag([1, -1, -1]).astype(np.float32), np.array([0, 0, _DISTANCE], np.float32)
    source = Source(
        Camera.for_image(SIZE, SIZE),
        facing,
        away,
        np.zeros(EXPRESSION_COUNT, np.float32),
        np.zeros((2, 2), np.float32),
    )
    return Avatar(
        rig,
        surface,
        rigid,
        np.full(count, 0.8, np.float32),
        random.random((count, 3), np.float32),
        np.zeros(count, np.uint8),
        landmarks,
        source,
        Provenance("0" * 64, "nobody", "", "", ()),
    )


def _synthetic_head(
    visible: int, random: np.random.Generator
) -> tuple[HeadRig, SurfaceBinding, RigidBinding]:
    """Three quarters of the Gaussians ride on the mesh, the rest is hair, all of which is drawn from any side."""
    rig = _rig(random)
    hair = visible // 4
    skin = round((visible - hair) / _FACING)
    spacing = 0.8 * np.sqrt(4 * np.pi * 0.1**2 / skin)  # metres between neighbours, nearly
    corners = rig.vertices[rig.triangles]
    areas = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    triangles = random.choice(len(areas), skin, p=areas / areas.sum()).astype(np.int32)
    edge = np.sqrt(areas[triangles])
    positions = np.concatenate([random.random((skin, 2)) / 2, np.zeros((skin, 1))], 1).astype(
        np.float32
    )
    axes = np.zeros((skin, 4), np.float32)
    axes[:, 0] = axes[:, 3] = spacing / edge
    surface = SurfaceBinding(
        triangles,
        positions,
        axes,
        np.full(skin, 0.2 * spacing, np.float32),
        np.zeros(skin, np.uint8),
    )
    directions = random.normal(size=(hair, 3))
    directions[:, 1] = np.abs(directions[:, 1])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    means = (
        directions * np.array(_RADII) * random.uniform(1.02, 1.12, (hair, 1)) + _CENTER
    ).astype(np.float32)
    quats = random.normal(size=(hair, 4))
    quats = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32)
    scales = np.tile(np.array([3.0, 0.7, 0.7]) * spacing, (hair, 1)).astype(np.float32)
    return rig, surface, RigidBinding(means, quats, scales, np.ones(hair, np.float32))


def _rig(random: np.random.Generator) -> HeadRig:
    rows = round(np.sqrt(_VERTICES / 2))
    theta, phi = np.meshgrid(
        np.linspace(0.02, np.pi - 0.02, rows), np.arange(2 * rows) * (np.pi / rows), indexing="ij"
    )
    sphere = np.stack(
        [np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], -1
    ).reshape(-1, 3)
    vertices = (sphere * _RADII + _CENTER).astype(np.float32)
    here = np.arange(rows * 2 * rows).reshape(rows, 2 * rows)
    below, beside = here[1:], np.roll(here, -1, 1)
    quads = np.stack([here[:-1], below, np.roll(below, -1, 1), beside[:-1]], -1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    waves = random.normal(size=(EXPRESSION_COUNT, 1, 3)) * 0.003
    actions = (waves * np.maximum(sphere[:, 2:], 0)).astype(np.float32)
    parts = np.full(len(triangles), Part.SKIN, np.uint8)
    eyes = np.array([[0.03, 0, 0], [-0.03, 0, 0]], np.float32)
    return HeadRig(
        vertices,
        actions,
        triangles,
        parts,
        np.ones(len(vertices), np.float32),
        eyes,
        0.012,
        np.array([0.0, -0.12, -0.1], np.float32),
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(
                (line.split(":", 1)[1].strip() for line in file if line.startswith("model name")),
                platform.machine(),
            )
    except OSError:
        return platform.processor() or platform.machine()
