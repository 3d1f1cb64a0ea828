"""A small avatar that is made up, so that fast tests need no photo."""

from __future__ import annotations

import numpy as np

from perse_live.avatar import Avatar, LandmarkBinding, Provenance, Source
from perse_live.camera import Camera
from perse_live.head.landmarks import load_landmark_model
from runtime.bench import made_up_head


def toy_avatar(*, gaussians: int = 2000) -> Avatar:
    """An ellipsoid with hair, coloured by position, seen from the front at 256x256."""
    rig, surface, rigid = made_up_head(gaussians, np.random.default_rng(0))
    count = len(surface.triangles) + len(rigid.means)
    face = load_landmark_model().neutral  # as near as its vertices come to a mean face
    nearest = np.array([np.linalg.norm(rig.vertices - point, axis=1).argmin() for point in face], np.int32)
    landmarks = LandmarkBinding(
        vertex_ids=np.repeat(nearest[:, None], 3, 1), barycentrics=np.full((478, 3), 1 / 3, np.float32),
        spread_ids=np.zeros(1, np.int32), spread=np.zeros((1, 478), np.float32))
    facing = np.diag([1.0, -1.0, -1.0]).astype(np.float32)
    source = Source(Camera.for_image(256, 256), facing, np.array([0, 0, 0.8], np.float32), np.zeros(52, np.float32),
                    np.zeros((2, 2), np.float32))
    provenance = Provenance("0" * 64, "the tests", "2026-01-01T00:00:00+00:00", "tests", ("CC0-1.0",), ("it is only a toy",))
    colors = np.random.default_rng(1).random((count, 3), np.float32)
    return Avatar(rig, surface, rigid, np.full(count, 0.9, np.float32), colors, np.zeros(count, np.uint8), landmarks, source,
                  provenance)
