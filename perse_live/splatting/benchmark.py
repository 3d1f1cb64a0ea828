"""How fast this machine draws: a synthetic head, timed stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from perse_live.arrays import Float64Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting.cpu import CpuRasterizer

BENCHMARK_SIZES = (10_000, 20_000, 50_000)
"""Numbers of visible Gaussians worth comparing; an avatar shows 20,000 to 30,000 from any side."""


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds per picture, by stage (project, sort, bin, blend) and in all (total)."""

    visible: int
    """Gaussians in view."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    threads: int
    """That could share the work."""
    repeats: int
    """Pictures timed."""
    median: dict[str, float]
    """Half of the pictures took at most this long."""
    p95: dict[str, float]
    """19 of 20 took at most this long."""


def _random_directions(random: np.random.Generator, count: int) -> Float64Array:
    directions = random.normal(size=(count, 3))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def synthetic_head(count: int, width: int, height: int, *, seed: int = 0) -> tuple[Gaussians, Camera]:
    """A head-like scene that fills half of the picture: an ellipsoid of skin (65 %) under a shell of hair (35 %).

    Gaussians lie flat on their surface, standard deviations of 1 to 3 pixels along it and 0.3 across (at a height of 512
    pixels), opacities 0.3 to 1. Returned in the camera frame; all `count` of them are in view.
    """
    random = np.random.default_rng(seed)
    skin = count * 65 // 100
    directions = _random_directions(random, count)
    hair = directions[skin:]  # turned up or back: y points down, the camera looks along z at the face
    face = (hair[:, 1] > 0.15) & (hair[:, 2] < 0)
    hair[face, 1:] *= -1
    radii = np.array([0.073, 0.094, 0.080])
    reach = np.concatenate([np.full(skin, 0.95), random.uniform(0.96, 1.06, count - skin)])
    normals = directions / radii
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)

    # the turn that takes z to the normal, after a random turn about z
    tilt = np.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0]], 1)
    half = random.uniform(0, np.pi, count)
    cosine, sine = np.cos(half), np.sin(half)
    quats = np.stack([tilt[:, 0] * cosine, tilt[:, 1] * cosine + tilt[:, 2] * sine, tilt[:, 2] * cosine - tilt[:, 1] * sine,
                      tilt[:, 0] * sine], 1)

    distance, focal = 0.4, 960 * height / 512
    pixel = distance / 960
    scales = np.column_stack([random.uniform(1, 3, (count, 2)), np.full(count, 0.3)]) * pixel
    means = directions * radii * reach[:, None]
    means[:, 2] += distance
    colors = np.clip(0.5 + 0.35 * np.sin(directions * 8 + np.arange(3)) + 0.1 * random.normal(size=(count, 3)), 0, 1)
    arrays = (means, quats, scales, random.uniform(0.3, 1, count), colors)
    return (Gaussians(*(np.ascontiguousarray(array, np.float32) for array in arrays)),
            Camera(width, height, focal, focal, width / 2, height / 2))


def benchmark(visible: int, threads: int, *, width: int = 512, height: int = 512, repeats: int = 60) -> StageTimes:
    """Draw a synthetic head again and again, as `render` does for every frame.

    visible: Gaussians in view; threads: >= 1; width, height: pixels; repeats: pictures timed, >= 1, after three that are not
    (the first may compile for seconds).
    """
    gaussians, camera = synthetic_head(visible, width, height)
    rasterizer = CpuRasterizer(width, height, threads=threads)
    samples: list[dict[str, float]] = []
    for _ in range(repeats + 3):
        begin = perf_counter()
        rasterizer.render(gaussians, camera, background=(0.0, 0.0, 0.0))
        samples.append({**rasterizer.stage_times(), "total": (perf_counter() - begin) * 1e3})
    columns = {stage: [sample[stage] for sample in samples[3:]] for stage in samples[0]}
    return StageTimes(visible, width, height, threads, repeats, {s: float(np.median(c)) for s, c in columns.items()},
                      {s: float(np.percentile(c, 95)) for s, c in columns.items()})
