"""The average head, covered with Gaussians of one colour, whose faults are those that a test gives it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from offline.rig.identity import identity_rig, load_identity_model
from offline.sampling import poisson_disk
from perse_live.animate import RigidBinding, bind_surface
from perse_live.arrays import FloatArray
from perse_live.avatar import Avatar, LandmarkBinding, Provenance, Source
from perse_live.camera import Camera
from perse_live.evaluation.portraits.specks import rest_means
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import EXPRESSION_COUNT
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.rig import EYES, Part
from perse_live.poses import facing_pose
from perse_live.raster import vertex_normals
from perse_live.regions import Region
from perse_live.rotations import to_quat

SKIN = (0.80, 0.60, 0.50)
_SPACING = 0.0025  # metres between Gaussians


@lru_cache(maxsize=1)
def painted_head() -> Avatar:
    """Skin of one colour and white eyeballs, photographed from the front."""
    rig = identity_rig(load_identity_model(), np.zeros(1))
    parts = np.where(
        np.isin(rig.parts, EYES),
        Region.EYE,
        np.where(rig.parts == Part.BODY, Region.BODY, Region.SKIN),
    )
    spacing = np.where(np.isin(rig.parts, (Part.SKIN, Part.BODY, *EYES)), _SPACING, 0.0)
    points = poisson_disk(rig.vertices, rig.triangles, spacing, rng=np.random.default_rng(0))
    normals = points.interpolate(vertex_normals(rig.vertices, rig.triangles), rig.triangles).astype(
        np.float64
    )
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    first = np.cross(
        normals, np.where(np.abs(normals[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    )
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    frames = np.stack([first, np.cross(normals, first), normals], 2)
    count = len(points)
    scales = np.tile(np.array([1.1, 1.1, 0.1], np.float32) * np.float32(_SPACING), (count, 1))
    gaussians = Gaussians(
        points.interpolate(rig.vertices, rig.triangles),
        to_quat(frames).astype(np.float32),
        scales,
        np.ones(count, np.float32),
        np.zeros((count, 3), np.float32),
    )
    surface = bind_surface(
        gaussians, points.triangle, rig.vertices, rig.triangles, two_sided=np.zeros(count, np.uint8)
    )
    rigid = RigidBinding(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros((0, 3), np.float32),
        np.zeros(0, np.float32),
    )
    regions = parts[points.triangle].astype(np.uint8)
    colors = np.where((regions == Region.EYE)[:, None], 0.95, SKIN).astype(np.float32)
    model = load_landmark_model()
    landmarks = LandmarkBinding(
        model.vertex_ids, model.barycentrics, np.zeros(1, np.int32), np.zeros((1, 478), np.float32)
    )
    source = Source(
        Camera.for_image(512, 512),
        np.diag([1, -1, -1]).astype(np.float32),
        np.array([0, -0.04, 0.8], np.float32),
        np.zeros(EXPRESSION_COUNT, np.float32),
        np.zeros((2, 2), np.float32),
    )
    return Avatar(
        rig,
        surface,
        rigid,
        np.ones(count, np.float32),
        colors,
        regions,
        landmarks,
        source,
        Provenance("0" * 64, "nobody", "", "tests", ()),
    )


def photographed(avatar: Avatar, yaw: float) -> Avatar:
    """The same head, as if its photo had shown it turned by degrees."""
    pose = facing_pose(avatar, yaw=yaw)
    return replace(
        avatar,
        source=replace(avatar.source, R_cam_head=pose.R_cam_head, t_cam_head=pose.t_cam_head),
    )


def places(avatar: Avatar) -> FloatArray:
    """Where its Gaussians lie at rest, in eye distances, (G, 3)."""
    left, right = avatar.rig.eye_centers
    return rest_means(avatar) / np.linalg.norm(left - right)


def recolored(avatar: Avatar, where: FloatArray, color: tuple[float, float, float]) -> Avatar:
    """With the Gaussians at which `where` (G,) is 1 in another colour, and those between 0 and 1 mixed."""
    share = np.asarray(where, np.float32)[:, None]
    return replace(
        avatar,
        colors=((1 - share) * avatar.colors + share * np.array(color, np.float32)).astype(
            np.float32
        ),
    )
