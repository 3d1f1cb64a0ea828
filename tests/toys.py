"""A small avatar that is made up, so that fast tests need no photo."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np

from perse_live.avatar import Avatar, LandmarkBinding, Provenance
from perse_live.camera import Camera
from runtime.bench.drawing import synthetic_avatar


def toy_avatar(*, gaussians: int = 2000) -> Avatar:
    """An ellipsoid with hair in random colours, seen from the front at 256x256; landmark offsets move nothing."""
    return deepcopy(_toy_avatar(gaussians))  # a test may change what it gets


@cache
def _toy_avatar(gaussians: int) -> Avatar:
    avatar = synthetic_avatar(gaussians, np.random.default_rng(0))
    binding = avatar.landmarks
    landmarks = LandmarkBinding(
        binding.vertex_ids,
        binding.barycentrics,
        np.zeros(1, np.int32),
        np.zeros((1, 478), np.float32),
    )
    source = replace(
        avatar.source,
        camera=Camera.for_image(256, 256),
        t_cam_head=np.array([0, 0, 0.8], np.float32),
    )
    provenance = Provenance(
        "0" * 64,
        "the tests",
        "2026-01-01T00:00:00+00:00",
        "tests",
        ("CC0-1.0",),
        ("it is only a toy",),
        person_psnr=31.5,
    )
    return replace(avatar, landmarks=landmarks, source=source, provenance=provenance)
