"""Depth for what the head rig does not model: hair as an inflated volume, clothes and loose skin as a sheet.

Hair fills a volume between a front and a back surface that meet at the silhouette. Each is a membrane in q = (depth from the
silhouette's plane)^2: the Laplacian of q is constant on a sphere, so that solving it with q = 0 at the rim gives round edges
instead of cardboard (inflation of silhouettes: Igarashi et al., Teddy, SIGGRAPH 1999, here with the head as an obstacle).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from offline.images import (
    blur,
    dilate,
    disk,
    distance_to,
    erode,
    fill_from,
    mean_around,
    nearest_true,
    pixel_centers,
)
from offline.lift.pixel_mesh import GridMesh
from offline.numeric import ramp
from offline.priors import COVERING, ENOUGH, PART
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.template_regions import BEHIND_JAW, CHIN_HEIGHT, COLLAR, NECK_TOP
from offline.segment.contract import VISIBLE
from perse_live.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from perse_live.camera import Camera
from perse_live.head.rig import Part
from perse_live.jit import kernel
from perse_live.raster import rasterise

_HAIR_THICKNESS = 0.011  # metres over the scalp, away from the hairline
_NECK_ROOM = 0.003  # metres between neck and collar
# Metres on the mean head: short hair grows, from there down, on the nape only
_UNDER_EAR, _NAPE_NARROWS = ((0.04, 0.055), 0.045)
_HEAD_RIM = 0.015  # metres that it bends back next to the head at most
_JOINED = 20.0  # pixels (eye distance 115) from the head over which loose skin comes to bend back
# Of the joining strip: pixels along it, vertices across it, least metres across
_RIM_STEP, _RIM_ROWS, _LEAST_RIM = (2, 9, 0.004)
_SMOOTH = 2.0  # of the inset: over how many pixels the way inward is evened out
_EVEN = 3.0  # pixels (eye distance 115) over which the back is smoothed: strands on creases would stick out
_ROUNDNESS = 1.35  # 1: the membrane of a sphere's section; larger: fuller


@dataclass(frozen=True)
class HairShell:
    """Front and back surface of the hair, on the photo's pixel grid."""

    front: Float32Array
    """(H, W) metres along the camera's z; valid on `front_mask`."""
    back: Float32Array
    """(H, W) metres; valid on `back_mask`."""
    front_mask: BoolArray
    """(H, W) hair seen in the photo."""
    back_mask: BoolArray
    """(H, W) silhouette of the hair as a whole, also behind the face."""
    long: bool
    """Whether hair hangs below the chin."""


def hair_shell(
    geometry: PhotoGeometry,
    wisps: BoolArray,
    alpha: Float32Array,
    chin_row: float,
    unit: float,
    body: Float32Array | None = None,
) -> HairShell:
    """Inflate the hair.

    wisps: (H, W) pixels of hair, also where it is thin; alpha: (H, W) the person's matte; chin_row: pixels; unit: pixels, eye
    distance / 115; body: (H, W) metres along the camera's z, of shoulders and chest behind hair, infinite elsewhere: hair lies on
    them, and has no back of its own there. Thin edges get the depth of the nearest solid hair, or they would lie in the
    silhouette's plane.
    """
    hair = wisps & (alpha > 0.5)
    plane = float(geometry.neck_axis(0.0)[2])
    front = _front_depth(geometry, hair, alpha > VISIBLE, plane)
    front = _extended(front, cv2.erode(hair.astype(np.uint8), disk(1)) > 0, wisps)
    front = np.minimum(
        front,
        np.where(wisps & np.isfinite(geometry.seen.depth), geometry.seen.depth - COVERING, np.inf),
    )
    free = hair
    if body is not None:
        on_body = hair & np.isfinite(body)
        # At the person's edge it goes round the shoulder, but not where it comes down to it
        round_it = ramp(distance_to(~on_body & hair), 0.0, _JOINED * unit) * on_body
        front = np.minimum(front + round_it * _bent_back(alpha > 0.3, unit), body - _HAIR_THICKNESS)
        free = hair & ~on_body
    low = np.arange(len(hair))[:, None] > chin_row + 35 * unit
    long = bool((hair & low).sum() > PART * unit**2)
    short = bool(
        (hair & (np.arange(len(hair))[:, None] > chin_row - 30 * unit)).sum() < PART * unit**2
    )
    cranium = _cranium(geometry, _NAPE_NARROWS if short else 0.0)
    silhouette = _silhouette(free, free | (cranium & (alpha > VISIBLE)), unit, long=long) & (
        alpha > 0.5
    )
    back = _back_depth(geometry, silhouette, plane)
    if short:
        back = np.minimum(back, _short_back(geometry, hair, plane))
    back = mean_around(back, silhouette, _EVEN * unit)
    return HairShell(front.astype(np.float32), back.astype(np.float32), wisps, silhouette, long)


def rim_strip(
    camera: Camera, shell: HairShell, person: BoolArray, inset: float, narrow: float
) -> GridMesh:
    """The surface that joins front and back round the silhouette, where both end edge-on to the photo's camera.

    Without it the head turned aside would show a furrow there. What it looks like is unknown: each of its vertices is as the
    pixel that lies as far within the outline as the vertex lies behind front or back, so that strands go on without a break.
    person: (H, W); where hair ends before neck or clothes, nothing is joined. inset: pixels inside the silhouette; narrow:
    pixels, half the width of locks that are left out.
    """
    down, right = np.gradient(
        blur(distance_to(~shell.back_mask), _SMOOTH * inset).astype(np.float64)
    )
    inward = np.stack([np.asarray(right), np.asarray(down)], -1)
    inward /= np.maximum(np.linalg.norm(inward, axis=-1, keepdims=True), 1e-3)
    inside = erode(shell.back_mask, inset)
    outer = distance_to(~person) < 2 * inset + 1
    inside &= dilate(erode(inside, narrow), narrow)
    outlines, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    vertices, triangles, pixels = (
        [np.zeros((0, 3), np.float32)],
        [np.zeros((0, 3), np.int32)],
        [np.zeros((0, 2), np.float32)],
    )
    count = 0
    for outline in outlines:
        x, y = np.asarray(outline, np.int32)[::_RIM_STEP, 0].T
        front, back = (
            gaussian_filter1d(depth[y, x].astype(np.float64), 2.0, mode="wrap")
            for depth in (shell.front, shell.back)
        )
        across = np.linspace(0, 1, _RIM_ROWS)
        depth = front[:, None] + (back - front)[:, None] * across
        at = np.stack([x, y], 1).astype(np.float32) + np.float32(0.5)
        at = np.repeat(at[:, None], _RIM_ROWS, 1)
        number = count + np.arange(len(x) * _RIM_ROWS, dtype=np.int32).reshape(len(x), _RIM_ROWS)
        hairy = (shell.front_mask & outer)[y, x] & (back - front > _LEAST_RIM)
        joined = hairy & np.roll(hairy, -1)
        a, b = number[joined], np.roll(number, -1, axis=0)[joined]
        quads = np.stack([a[:, :-1], b[:, :-1], a[:, 1:], b[:, 1:]], -1).reshape(-1, 4)
        vertices.append(camera.unproject(at.reshape(-1, 2), depth.reshape(-1)).astype(np.float32))
        triangles.append(np.concatenate([quads[:, [0, 2, 1]], quads[:, [1, 2, 3]]]))
        deep = np.minimum(depth - front[:, None], back[:, None] - depth) * camera.fx / depth
        pixels.append(
            (at + deep[..., None] * inward[y, x][:, None]).reshape(-1, 2).astype(np.float32)
        )
        count += depth.size
    return GridMesh(
        np.concatenate(vertices),
        np.ascontiguousarray(np.concatenate(triangles), np.int32),
        np.concatenate(pixels),
    )


def _front_depth(
    geometry: PhotoGeometry, hair: BoolArray, person: BoolArray, plane: float
) -> FloatArray:
    """(H, W) metres: hair in front of the skin by its thickness, round towards the silhouette in the plane at depth `plane`."""
    scale = geometry.pixels_per_metre
    surface = geometry.seen.depth
    covered = np.isfinite(surface)
    known = ~hair & covered & person
    lift = np.minimum(COVERING + distance_to(known) / scale, _HAIR_THICKNESS)
    safe = np.where(covered, surface, plane)
    obstacle = np.where(covered, np.clip((plane - (safe - lift)) * scale, 0, None) ** 2, 0.0)
    fixed = np.where(known, np.clip((plane - (safe - COVERING)) * scale, 0, None) ** 2, 0.0)
    q = membrane(
        np.where(hair, obstacle, fixed).astype(np.float64),
        hair,
        obstacle.astype(np.float64),
        4 * _ROUNDNESS,
    )
    front = plane - np.sqrt(np.clip(q, 0, None)) / scale
    return np.where(covered, np.minimum(front, safe - COVERING), front)


def _back_depth(geometry: PhotoGeometry, silhouette: BoolArray, plane: float) -> FloatArray:
    """(H, W) metres: the back of the hair, behind the skull by its thickness."""
    scale = geometry.pixels_per_metre
    skull = np.isfinite(geometry.head_depth)
    behind = np.where(skull, geometry.head_back, plane) + _HAIR_THICKNESS
    obstacle = np.where(skull, np.clip((behind - plane) * scale, 0, None) ** 2, 0).astype(
        np.float64
    )
    q = membrane(np.where(silhouette, obstacle, 0.0), silhouette, obstacle, 4 * _ROUNDNESS)
    return plane + np.sqrt(np.clip(q, 0, None)) / scale


def _short_back(geometry: PhotoGeometry, hair: BoolArray, plane: float) -> FloatArray:
    """(H, W) metres: how far back hair reaches that hangs nowhere below the chin: as it stands on top, thinner towards the nape.

    hair: (H, W).
    """
    skull = np.isfinite(geometry.head_depth)
    rise = distance_to(skull)[hair & ~skull] / geometry.pixels_per_metre
    thickness = (
        float(np.clip(np.percentile(rise, 80), _HAIR_THICKNESS / 2, 0.05))
        if len(rise) > ENOUGH
        else _HAIR_THICKNESS
    )
    depth = np.where(skull, geometry.head_back, plane).astype(np.float32)
    height = geometry.to_head(geometry.camera.unproject(pixel_centers(depth.shape), depth))[..., 1]
    limit = np.where(
        skull,
        depth + 0.001 + thickness * ramp(height, NECK_TOP, 0.0),
        plane + 0.012,
    )
    return limit + 0.05 * ramp(height, -0.02, 0.06)  # above, the hair is as round as its outline


def _silhouette(hair: BoolArray, outline: BoolArray, unit: float, *, long: bool) -> BoolArray:
    """The hair as if the face were not there, (H, W); long hair also fills the space behind the neck."""
    filled = outline.copy()
    if long:
        for row in range(len(hair)):
            columns = np.nonzero(hair[row])[0]
            if len(columns) > 5:
                filled[row, columns[0] : columns[-1]] = True
    return cv2.morphologyEx(filled.astype(np.uint8), cv2.MORPH_CLOSE, disk(10 * unit)) > 0


def _cranium(geometry: PhotoGeometry, narrows: float) -> BoolArray:
    """(H, W) pixels behind which the rig's hairy back of the head lies. narrows: metres, of half of it under the ears."""
    rig = geometry.rig
    middle = geometry.triangle_template()
    half = 0.075 - narrows * ramp(-middle[:, 1], *_UNDER_EAR)
    hairy = (
        (rig.parts == Part.SKIN)
        & (middle[:, 2] < BEHIND_JAW)
        & (middle[:, 1] > NECK_TOP)
        & (np.abs(middle[:, 0]) < half)
    )
    return rasterise(
        geometry.vertices, np.ascontiguousarray(rig.triangles[hairy]), geometry.camera
    ).covered


def _extended(depth: FloatArray, solid: BoolArray, wanted: BoolArray) -> FloatArray:
    """Depth on `wanted`, taken from the nearest solid pixel where it is not solid itself."""
    if not solid.any():
        return depth
    _, rows, columns = nearest_true(solid)
    return np.where(wanted & ~solid, depth[rows, columns], depth)


def sheet_depth(
    geometry: PhotoGeometry, clothes: BoolArray, alpha: Float32Array, unit: float
) -> Float32Array:
    """Depth (H, W) of every pixel of the person that is not hair: the rig where it is seen, continued smoothly beyond it.

    clothes: (H, W) pixels that continue the shoulders and not the face, however near to the jaw they lie in the picture. Towards
    the matte's edge the continuation bends back like a round limb. Metres along the camera's z.
    """
    surface = geometry.seen.depth
    body = geometry.part_map(Part.BODY)
    covered = np.isfinite(surface)
    skin_depth = np.where(
        covered, np.where(covered, surface, 0), _going_on(surface, covered & ~body, unit)
    )
    _, rows, columns = nearest_true(covered)
    if body.any():  # bare shoulders go on as the body does, not as the jaw
        skin_depth = np.where(
            body[rows, columns], _continued(surface, covered, covered, unit), skin_depth
        )
    cloth_depth = _continued(surface, body, body, unit) - 0.004  # clothes have some thickness
    template = geometry.template_map()
    with np.errstate(invalid="ignore"):
        face = np.isfinite(geometry.head_depth) & (template[..., 1] > CHIN_HEIGHT)
    behind_jaw = np.where(face, geometry.head_depth + 0.012, 0)
    cloth_depth = np.maximum(
        np.maximum(cloth_depth, behind_jaw), _clear_of_the_head(geometry, cloth_depth)
    )
    cloth_depth = _around_neck(geometry, cloth_depth, behind_jaw)
    rim = _bent_back(alpha > 0.3, unit)
    # an ear's rim, a cheek: skin beyond the head's outline goes on from it, or a gap would open between the two
    beside = np.where(body[rows, columns], rim, np.minimum(rim, _HEAD_RIM))
    beside = beside * ramp(distance_to(np.isfinite(geometry.head_depth)), 0.0, _JOINED * unit)
    return np.where(clothes, cloth_depth + rim, skin_depth + beside).astype(np.float32)


def _bent_back(person: BoolArray, unit: float) -> FloatArray:
    """(H, W) metres by which a limb's surface lies farther back towards the person's edge. person: (H, W)."""
    from_edge = np.clip(distance_to(~person) / (22 * unit), 0, 1)
    return 0.05 * (1 - np.sqrt(np.clip(1 - (1 - from_edge) ** 2, 0, 1)))


def _clear_of_the_head(geometry: PhotoGeometry, depth: Float32Array) -> Float32Array:
    """Depth (H, W) in front of which a turning jaw would meet the shoulders of somebody who leans forward or lifts them."""
    points = geometry.to_head(geometry.camera.unproject(pixel_centers(depth.shape), depth))
    neck = float(geometry.neck_axis(CHIN_HEIGHT)[2])
    # 1 beside the jaw, 0 from 4 cm below the chin
    beside = np.clip((points[..., 1] + 0.17) / 0.04, 0, 1)
    return np.where(beside > 0, neck - 0.12 * (1 - beside), 0).astype(np.float32)


def _around_neck(
    geometry: PhotoGeometry, depth: FloatArray, behind_jaw: FloatArray
) -> Float32Array:
    """A collar's depth (H, W) brought before the round room that the neck needs to turn in, but no nearer than `behind_jaw`.

    Within it, a collar would be pierced by the neck. The room's radius is, at each height and on either side, the neck's largest;
    further down clothes stand off by themselves.
    """
    used = np.unique(geometry.rig.triangles[np.isin(geometry.rig.parts, (Part.SKIN, Part.BODY))])
    place, points = geometry.template[used], geometry.vertices[used]
    top, bottom = geometry.neck_axis(NECK_TOP), geometry.neck_axis(COLLAR)

    def from_axis(at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far along the axis (0 top, 1 bottom), and away from it at that height: x and z."""
        along = (at[..., 1] - top[1]) / (bottom[1] - top[1])
        return along, at[..., ::2] - (top + along[..., None] * (bottom - top))[..., ::2]

    along, away = from_axis(points)
    radius = np.linalg.norm(away, axis=-1)
    # not the throat and the chin, which are in front of the axis, and not the shoulders
    neck = (
        (np.abs(place[:, 0]) > 0.02)
        & (place[:, 2] < BEHIND_JAW)
        & (radius < 0.09)
        & (along > 0)
        & (along < 1)
    )
    shape = geometry.seen.depth.shape
    plane = np.full(shape, 0.5 * (top[2] + bottom[2]), np.float32)
    here, aside = from_axis(geometry.camera.unproject(pixel_centers(shape), plane))
    room = np.zeros(shape)
    steps = np.linspace(0, 1, 12)
    for side in (-1.0, 1.0):
        own = neck & (away[:, 0] * side > 0)
        largest = [radius[own & (np.abs(along - step) < 0.08)].max(initial=0.0) for step in steps]
        room = np.where(
            aside[..., 0] * side > 0, np.interp(here, steps, largest, left=0, right=0), room
        )
    room = room + np.where(room > 0, _NECK_ROOM, 0)
    front = plane - np.sqrt(np.clip(room**2 - aside[..., 0] ** 2, 0, None))
    before = np.where(
        room > np.abs(aside[..., 0]), np.minimum(depth, np.maximum(front, behind_jaw)), depth
    )
    return (depth + ramp(1 - here, 0.0, 0.7) * (before - depth)).astype(np.float32)


def _continued(depth: Float32Array, known: BoolArray, keep: BoolArray, unit: float) -> Float32Array:
    inside = known & ~dilate(~known, 2.0)
    if not inside.any():
        return np.where(np.isfinite(depth), depth, np.median(depth[np.isfinite(depth)])).astype(
            np.float32
        )
    filled = fill_from(np.where(known, depth, 0.0), inside.astype(np.float32))
    return np.where(keep, np.where(np.isfinite(depth), depth, 0), blur(filled, 3 * unit)).astype(
        np.float32
    )


def _going_on(depth: Float32Array, known: BoolArray, unit: float) -> Float32Array:
    """Depth (H, W) as of `_continued`, but near the `known` (H, W) as at the nearest of them: an ear's rim is no cheek's."""
    inside = known & ~dilate(~known, 2.0)
    broad = _continued(depth, known, known, unit)
    if not inside.any():
        return broad
    distance, rows, columns = nearest_true(inside)
    near = 1 - ramp(distance, _JOINED * unit, 2 * _JOINED * unit)
    beside = near * blur(depth[rows, columns], 3 * unit) + (1 - near) * broad
    return np.where(known, broad, beside).astype(np.float32)


def membrane(
    start: Float64Array, free: BoolArray, obstacle: Float64Array, source: float
) -> Float64Array:
    """Solve laplace(q) = -source on `free` (H, W), q >= obstacle, q = start elsewhere; lengths are pixels.

    With q = 0 around a disk and source = 4, sqrt(q) is a half sphere. Projected over-relaxation, coarse to fine.
    """
    q = start.copy()
    for factor in (4, 2):
        size = (q.shape[1] // factor, q.shape[0] // factor)
        small_free = cv2.resize(free.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        small = np.asarray(cv2.resize(q, size, interpolation=cv2.INTER_NEAREST), np.float64)
        small_obstacle = np.asarray(
            cv2.resize(obstacle, size, interpolation=cv2.INTER_NEAREST), np.float64
        )
        _relax(small, small_free, small_obstacle, source * factor**2, 160)
        larger = cv2.resize(small, (q.shape[1], q.shape[0]), interpolation=cv2.INTER_LINEAR)
        q = np.where(free, np.maximum(larger, obstacle), q)
    _relax(q, free, obstacle, source, 120)
    return q


@kernel
def _relax(
    q: Float64Array, free: BoolArray, obstacle: Float64Array, source: float, iterations: int
) -> None:
    height, width = q.shape
    for _ in range(iterations):
        for y in range(height):
            # Mirrored at the picture's border: hair goes on below it
            up, down = (max(y - 1, 0), min(y + 1, height - 1))
            for x in range(width):
                if free[y, x]:
                    left, right = max(x - 1, 0), min(x + 1, width - 1)
                    mean = 0.25 * (q[up, x] + q[down, x] + q[y, left] + q[y, right] + source)
                    q[y, x] = max(q[y, x] + 1.85 * (mean - q[y, x]), obstacle[y, x])
