"""Scenes for the splatting tests, ordinary and odd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st

from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting.reference import rasterize_reference

KINDS = ("ordinary", "behind", "near plane", "off screen", "huge", "tiny", "thin", "faint", "opaque")
NAMES = ("means", "quats", "scales", "opacities", "colors")


def make_camera(width: int, height: int) -> Camera:
    """Off-centre, with unequal focal lengths, so that no mix-up of axes cancels."""
    return Camera(width, height, 1.1 * max(width, height), 1.3 * max(width, height), 0.45 * width, 0.55 * height)


def make_gaussians(kinds: list[str], seed: int) -> Gaussians:
    """One Gaussian per kind, random otherwise, about half a metre in front of the camera."""
    random = np.random.default_rng(seed)
    count = len(kinds)
    kind = np.array(kinds, dtype="U16")
    means = random.uniform((-0.25, -0.25, 0.4), (0.25, 0.25, 0.7), (count, 3))
    scales = np.exp(random.uniform(np.log(0.003), np.log(0.04), (count, 3)))
    opacities = random.uniform(0.1, 0.95, count)
    means[kind == "behind", 2] *= -1
    means[kind == "near plane", 2] = random.uniform(0.005, 0.03, (kind == "near plane").sum())
    means[kind == "off screen", 0] += random.choice([-1.0, 1.0], (kind == "off screen").sum())
    scales[kind == "huge"] *= 100
    scales[kind == "tiny"] *= 1e-3
    scales[kind == "thin", :2] *= (10, 0.01)
    opacities[kind == "faint"] = random.uniform(0, 2 / 255, (kind == "faint").sum())
    opacities[kind == "opaque"] = 1
    arrays = (means, random.normal(size=(count, 4)), scales, opacities, random.uniform(0, 1, (count, 3)))
    return Gaussians(*(np.ascontiguousarray(array, np.float32) for array in arrays))


def scenes(max_count: int = 40) -> st.SearchStrategy[Gaussians]:
    return st.builds(make_gaussians, st.lists(st.sampled_from(KINDS), max_size=max_count), st.integers(0, 2**32 - 1))


def cameras() -> st.SearchStrategy[Camera]:
    return st.builds(make_camera, st.integers(1, 75), st.integers(1, 75))


def tensors(gaussians: Gaussians, *, dtype: torch.dtype) -> list[torch.Tensor]:
    return [torch.tensor(getattr(gaussians, name), dtype=dtype, requires_grad=True) for name in NAMES]


def reference_image(gaussians: Gaussians, camera: Camera, background: tuple[float, float, float]) -> np.ndarray:
    with torch.no_grad():
        return rasterize_reference(*tensors(gaussians, dtype=torch.float64), camera=camera, background=background).numpy()


def with_value(gaussians: Gaussians, name: str, row: int, value: float) -> Gaussians:
    """A copy with one number of one array replaced."""
    array = getattr(gaussians, name).copy()
    array.reshape(len(gaussians), -1)[row, -1] = value
    return replace(gaussians, **{name: array})
