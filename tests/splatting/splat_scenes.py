"""Scenes for the splatting tests, ordinary and odd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st

from perse_live.arrays import Float64Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting.reference import rasterize_reference

KINDS = (
    "ordinary",
    "behind",
    "near plane",
    "off screen",
    "huge",
    "tiny",
    "thin",
    "faint",
    "opaque",
)
NAMES = ("means", "quats", "scales", "opacities", "colors")


def make_camera(width: int, height: int) -> Camera:
    """Off-centre, with unequal focal lengths, so that no mix-up of axes cancels."""
    return Camera(
        width,
        height,
        1.1 * max(width, height),
        1.3 * max(width, height),
        0.45 * width,
        0.55 * height,
    )


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
    arrays = (
        means,
        random.normal(size=(count, 4)),
        scales,
        opacities,
        random.uniform(0, 1, (count, 3)),
    )
    return Gaussians(*(np.ascontiguousarray(array, np.float32) for array in arrays))


def scenes(max_count: int = 40) -> st.SearchStrategy[Gaussians]:
    return st.builds(
        make_gaussians,
        st.lists(st.sampled_from(KINDS), max_size=max_count),
        st.integers(0, 2**32 - 1),
    )


def cameras() -> st.SearchStrategy[Camera]:
    return st.builds(make_camera, st.integers(1, 75), st.integers(1, 75))


def tensors(gaussians: Gaussians, *, dtype: torch.dtype) -> list[torch.Tensor]:
    return [
        torch.tensor(getattr(gaussians, name), dtype=dtype, requires_grad=True) for name in NAMES
    ]


def reference_image(
    gaussians: Gaussians, camera: Camera, background: tuple[float, float, float]
) -> np.ndarray:
    with torch.no_grad():
        return rasterize_reference(
            *tensors(gaussians, dtype=torch.float64), camera=camera, background=background
        ).numpy()


def with_value(gaussians: Gaussians, name: str, row: int, value: float) -> Gaussians:
    """A copy with one number of one array replaced."""
    array = getattr(gaussians, name).copy()
    array.reshape(len(gaussians), -1)[row, -1] = value
    return replace(gaussians, **{name: array})


def _random_directions(random: np.random.Generator, count: int) -> Float64Array:
    directions = random.normal(size=(count, 3))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def synthetic_head(
    count: int, width: int, height: int, *, seed: int = 0
) -> tuple[Gaussians, Camera]:
    """A head-like scene that fills half of the picture: an ellipsoid of skin (65 %) under a shell of hair (35 %).

    Gaussians lie flat on their surface, standard deviations of 1 to 3 pixels along it and 0.3 across (at a height of 512
    pixels), opacities 0.3 to 1. Returned in the camera frame; all `count` of them are in view.
    """
    random = np.random.default_rng(seed)
    skin = count * 65 // 100
    directions = _random_directions(random, count)
    # Turned up or back: y points down, the camera looks along z at the face
    hair = directions[skin:]
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
    quats = np.stack(
        [
            tilt[:, 0] * cosine,
            tilt[:, 1] * cosine + tilt[:, 2] * sine,
            tilt[:, 2] * cosine - tilt[:, 1] * sine,
            tilt[:, 0] * sine,
        ],
        1,
    )

    distance, focal = 0.4, 960 * height / 512
    pixel = distance / 960
    scales = np.column_stack([random.uniform(1, 3, (count, 2)), np.full(count, 0.3)]) * pixel
    means = directions * radii * reach[:, None]
    means[:, 2] += distance
    colors = np.clip(
        0.5 + 0.35 * np.sin(directions * 8 + np.arange(3)) + 0.1 * random.normal(size=(count, 3)),
        0,
        1,
    )
    arrays = (means, quats, scales, random.uniform(0.3, 1, count), colors)
    return (
        Gaussians(*(np.ascontiguousarray(array, np.float32) for array in arrays)),
        Camera(width, height, focal, focal, width / 2, height / 2),
    )
