"""People to try editors on: a plain head that is made up, and photos with a part painted in."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from offline.editing.donor import Donor
from offline.gaussian_layer import surface_layer
from offline.numeric import normalized
from offline.rig.photo_geometry import PhotoGeometry, attribute_map
from offline.sampling import poisson_disk
from perse_live.animate import RigidBinding, bind_surface
from perse_live.arrays import BoolArray, Float32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, LandmarkBinding, Source
from perse_live.camera import Camera
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.rig import Part, surface_triangles
from perse_live.raster import vertex_normals
from perse_live.regions import Region
from toys import toy_avatar

SKIN = np.array([0.72, 0.57, 0.49])
HAIR = np.array([0.10, 0.08, 0.07])


def plain_person(head: PhotoGeometry) -> Avatar:
    """The average head: even skin and eyes of one colour, under a cap of black hair."""
    rig, rng = head.rig, np.random.default_rng(0)
    spacing = np.select(
        [rig.parts == Part.SKIN, np.isin(rig.parts, (Part.EYE_LEFT, Part.EYE_RIGHT))],
        [0.0028, 0.0012],
        0.0,
    )
    points = poisson_disk(rig.vertices, rig.triangles, spacing, rng=rng)
    on_eye = rig.parts[points.triangle] != Part.SKIN
    normals = normalized(
        points.interpolate(vertex_normals(rig.vertices, surface_triangles(rig)), rig.triangles)
    )
    colors = np.where(on_eye[:, None], 0.75, SKIN)
    layer = surface_layer(
        points.interpolate(rig.vertices, rig.triangles),
        normals,
        0.66 * points.spacing,
        colors,
        Region.SKIN,
        triangles=points.triangle,
    )
    layer.regions[on_eye] = Region.EYE
    away = normalized(rng.standard_normal((4000, 3)))
    away = away[(away[:, 1] > 0.1) & (away[:, 2] < 0.55)]
    means = (np.array([0, 0.02, -0.08]) + away * np.array([0.088, 0.11, 0.112])).astype(np.float32)
    count = len(means)
    straight = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    model = load_landmark_model()
    binding = LandmarkBinding(
        model.vertex_ids, model.barycentrics, np.zeros(1, np.int32), np.zeros((1, 478), np.float32)
    )
    facing = np.diag([1.0, -1.0, -1.0]).astype(np.float32)
    source = Source(
        Camera.for_image(512, 512),
        facing,
        np.array([0, 0, 1], np.float32),
        np.zeros(52, np.float32),
        np.zeros((2, 2), np.float32),
    )
    surface = bind_surface(
        layer.gaussians,
        points.triangle,
        rig.vertices,
        rig.triangles,
        two_sided=np.zeros(len(points), np.uint8),
    )
    return replace(
        toy_avatar(gaussians=20),
        rig=rig,
        surface=surface,
        rigid=RigidBinding(
            means, straight, np.full((count, 3), 0.004, np.float32), np.ones(count, np.float32)
        ),
        opacities=np.concatenate([layer.gaussians.opacities, np.full(count, 0.95, np.float32)]),
        colors=np.concatenate([layer.gaussians.colors, np.tile(HAIR, (count, 1))]).astype(
            np.float32
        ),
        regions=np.concatenate([layer.regions, np.full(count, int(Region.HAIR), np.uint8)]),
        landmarks=binding,
        source=source,
    )


def chart_pixels(donor: Donor, name: str, least: float) -> BoolArray:
    """(H, W) where a chart of the donor's head is above a value."""
    return (
        np.nan_to_num(attribute_map(donor.geometry, getattr(donor.charts, name)[:, None])[..., 0])
        > least
    )


def repainted(
    donor: Donor,
    where: BoolArray,
    color: tuple[float, float, float],
    share: float | Float32Array = 1.0,
) -> Donor:
    """The donor with some of the photo's pixels in another colour; share: of it, one or (H, W)."""
    image = donor.look.image.copy()
    of_it = np.broadcast_to(np.asarray(share, np.float32), where.shape)[where][:, None]
    image[where] = (1 - of_it) * image[where] + of_it * np.array(color, np.float32)
    rgb = np.rint(255 * image).astype(np.uint8)
    state = donor.state
    look = replace(donor.look, image=image)
    return Donor(
        replace(
            state,
            portrait=replace(state.portrait, rgb=rgb),
            segmentation=replace(state.segmentation, look=look),
        )
    )


def painted_strands(where: BoolArray, spacing: float, length: float) -> Float32Array:
    """(H, W) how far short lines, pointing downwards, cover pixels; spacing, length: pixels."""
    rng = np.random.default_rng(3)
    drawn = np.zeros(where.shape, np.uint8)
    rows, columns = np.nonzero(where)
    for k in rng.permutation(len(rows))[: int(len(rows) / spacing**2)]:
        to = np.array([columns[k], rows[k]]) + length * rng.normal((0.0, 1.0), 0.3)
        begin, end = (tuple(int(16 * one) for one in at) for at in ((columns[k], rows[k]), to))
        cv2.line(drawn, begin, end, 255, 1, cv2.LINE_AA, 4)
    return (drawn * where / 255).astype(np.float32)


def with_rims(donor: Donor) -> Donor:
    """The donor with round black rims drawn around the eyes, where glasses would sit."""
    drawn = np.zeros(donor.look.alpha.shape, np.uint8)
    geometry = donor.geometry
    eyes = donor.rig.eye_centers.astype(np.float64)
    angle = np.linspace(0, 2 * np.pi, 90)
    for side, eye in zip((1.0, -1.0), eyes, strict=True):
        ring = eye + np.stack(
            [
                0.003 * side + 0.0235 * np.cos(angle),
                -0.003 + 0.0215 * np.sin(angle),
                np.full(90, 0.027),
            ],
            1,
        )
        pixels = geometry.camera.project(ring @ geometry.R_cam_head.T + geometry.t_cam_head)
        cv2.polylines(drawn, [np.round(pixels * 16).astype(np.int32)], True, 255, 3, cv2.LINE_AA, 4)
    return repainted(donor, drawn > 100, (0.05, 0.05, 0.05))


def require_sound(avatar: Avatar, one: Attribute) -> None:
    """Fail for an attribute that does not belong to the avatar or has anything out of range."""
    assert len(np.unique(one.ids)) == len(one.ids) == len(one.colors) == len(one.opacities)
    assert not len(one.ids) or (one.ids.min() >= 0 and one.ids.max() < len(avatar))
    added = one.added
    count = len(added.surface.triangles) + len(added.rigid.means)
    assert (
        len(added.opacities)
        == len(added.colors)
        == len(added.regions)
        == len(added.appear)
        == count
    )
    for values in (one.colors, one.opacities, added.colors, added.opacities):
        assert values.dtype == np.float32 and np.isfinite(values).all()
        assert not values.size or (values.min() >= 0 and values.max() <= 1)
    assert (
        np.isfinite(added.rigid.means).all()
        and np.isfinite(added.rigid_start).all()
        and (added.rigid.scales > 0).all()
    )
    assert not count or (added.appear.min() >= 0 and added.appear.max() <= 0.9)
    assert np.abs(added.rigid.means).max(initial=0) < 0.5
