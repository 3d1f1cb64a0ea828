"""Clothes, and skin beyond the rig's outline: a sheet of Gaussians at the photo's pixels."""

from __future__ import annotations

import cv2
import numpy as np

from offline.gaussian_layer import COVERAGE, Layer, empty_layer, surface_layer
from offline.images import (
    blur,
    dilate,
    distance_to,
    erode,
    fill_from,
    mean_around,
    nearest_true,
    opened,
    pixel_centers,
    sample,
    without_small,
)
from offline.lift.body import has_bust, on_shirt
from offline.lift.pixel_mesh import GridMesh, grid_mesh, scatter, spacing_for
from offline.numeric import ramp
from offline.priors import COVERING, ENOUGH, NARROW, PART, PIECE
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.template_regions import CHIN_HEIGHT, EAR_LOBES
from offline.segment.appearance import Appearance
from offline.segment.contract import OPAQUE, SURE
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.head.rig import Part
from perse_live.regions import Region

# Pixels (eye distance 115) over which the sheet fades into the body at the photo's edges
_SOFT_EDGE = 8.0
# Difference of sRGB colours from which skin off the rig is doubtful, and from which it is rejected
_UNLIKE_SKIN = (0.25, 0.4)
# Difference of sRGB colours up to which a pixel at a collar is skin like that beside it
_AS_SKIN = 0.15
_COLLAR_EDGE = 5.0  # pixels (eye distance 115)
# Pixels (eye distance 115) that it goes on there, metres behind the jaw
_UNDER_JAW, _OVER_NECK = (14.0, 0.012)
_BEFORE_COLLAR = 0.003  # metres
_NECK_THICKNESS = 0.07  # metres
# Square metres of clothes in the photo below which they are ignored
_LEAST_DRESSED_AREA = 0.0022
_IN_SKIN = 0.8  # share of skin around a piece of clothes from which that is in the midst of skin


def dressed_pixels(look: Appearance, chin_row: float, unit: float) -> BoolArray:
    """(H, W) clothes with the mixed pixels at their edge, which belong to the farther surface where a jaw occludes a collar.

    chin_row: pixels; components that do not reach below it are no clothes.
    """
    clothes = look.clothes > 0.5
    mixed = dilate(clothes, 2 * unit) & (look.purity < 0.5) & (look.clothes > 0.1)
    skin, brightness = look.sure_skin, look.image.mean(2)
    # without these shadows, the outline of single_face is fitted wrongly: its own view loses 0.3 dB
    shadow = (
        dilate(clothes, 6 * unit) & (brightness < 0.55 * float(np.median(brightness[skin])))
        if skin.any()
        else mixed
    )
    low_enough = np.arange(len(clothes))[:, None] > chin_row - 75 * unit
    dressed = (clothes | mixed | shadow) & low_enough
    dressed = _without_islands(opened(dressed, NARROW * unit), look, unit)
    large = without_small(dressed & look.visible, PART * unit**2)
    _, labels = cv2.connectedComponents(large.astype(np.uint8))
    low = np.unique(labels[min(int(chin_row), len(labels) - 1) :])
    return dressed & np.isin(labels, low[low > 0]) & (look.hair < SURE)


def _without_islands(dressed: BoolArray, look: Appearance, unit: float) -> BoolArray:
    """Clothes (H, W) without pieces in the midst of skin, away from the photo's edges: a throat's shadow, a pendant."""
    _, pieces = cv2.connectedComponents(dressed.astype(np.uint8))
    skin = (look.skin > SURE) & look.visible
    for piece in range(1, int(pieces.max()) + 1):
        inside = pieces == piece
        around = dilate(inside, 3 * unit) & ~inside
        ends = inside[[0, -1]].any() or inside[:, [0, -1]].any() or (around & ~look.valid).any()
        if not ends and skin[around].mean() > _IN_SKIN:
            dressed = dressed & ~inside
    return dressed


def with_collar_edge(
    dressed: BoolArray, geometry: PhotoGeometry, look: Appearance, unit: float
) -> BoolArray:
    """Clothes (H, W) with the strip of shadow and mixed pixels where neck and collar meet.

    Bound as skin these pixels would turn with the neck and show as fragments on it. The jaw's edge is kept as skin, and so is a
    neck whose skin has the same colour up to the collar: bound as cloth it would stay on the shoulders as a stripe.
    """
    place = geometry.template_map()
    with np.errstate(invalid="ignore"):
        face = geometry.part_map(Part.SKIN) & (place[..., 1] > CHIN_HEIGHT)
    pure = look.pure_skin
    mixed = (
        np.linalg.norm(look.image - fill_from(look.image, pure), axis=2) > _AS_SKIN
        if pure.any()
        else np.ones_like(dressed)
    )
    edge = (
        dilate(dressed, _COLLAR_EDGE * unit)
        & ~dilate(face, 2 * unit)
        & look.person
        & (look.hair < 0.5)
    )
    return dressed | (edge & mixed)


def with_narrow_strips(
    dressed: BoolArray, person: BoolArray, bare: BoolArray, unit: float
) -> BoolArray:
    """Clothes (H, W) with the adjacent narrow strips and small pieces of the person that are neither clothes nor on the rig.

    Bound as skin they would move with the jaw as fragments. person: (H, W) all that is to be shown, without hair; bare: (H, W)
    where the rig shows skin.
    """
    strips = person & ~dressed & ~bare & ~without_strips(person & ~dressed, unit)
    return dressed | (strips & dilate(dressed, _COLLAR_EDGE * unit))


def without_strips(mask: BoolArray, unit: float) -> BoolArray:
    """A mask (H, W) without narrow strips and small connected components."""
    core = without_small(erode(mask, NARROW * unit), PIECE * unit**2)
    return mask & dilate(core, (NARROW + 1) * unit)


def sheet_layer(
    geometry: PhotoGeometry,
    look: Appearance,
    depth: Float32Array,
    hair: BoolArray,
    dressed: BoolArray,
    covered: BoolArray,
    barely_shown: bool,
    chin_row: float,
    unit: float,
    budget: int,
    rng: np.random.Generator,
) -> Layer:
    """Gaussians for the person's pixels that neither hair nor the rig's skin covers.

    Loose skin near the rig is tied to it, so that it follows the jaw; the rest moves with neck and shoulders. covered: (H, W)
    hair with the completed body behind it; barely_shown: as of `clothes_barely_shown`; budget: about how many Gaussians there
    may be.
    """
    rig_skin = geometry.part_map(Part.SKIN, Part.EYE_LEFT, Part.EYE_RIGHT) & (look.skin > 0.5)
    on_rig = erode(rig_skin, 1.0 * unit) & ~dressed
    person = look.visible & look.valid
    below_chin = np.arange(len(hair))[:, None] > chin_row
    mask = person & ~np.where(below_chin & ~covered, erode(hair, 2 * unit), hair) & ~on_rig
    # The body is given the clothes' mean colour; pieces of the photo on it would be a patchwork
    if barely_shown:
        mask &= ~(dressed | on_shirt(geometry, look))
    # Else specks between locks, fragments along the jaw
    mask &= without_strips(mask & ~dressed, unit) | dressed
    nape = beside_neck(geometry, mask & ~dressed, unit)
    mask = nape | (mask & dressed) | _without_cut_off_skin(mask & ~dressed & ~nape, nape, unit)
    depth = np.where(nape, _nape_depth(geometry, depth, dressed), depth).astype(np.float32)
    mesh = _without_steep_skin(grid_mesh(geometry.camera, depth, mask, largest_step=0.05), dressed)
    if not len(mesh.triangles):
        return empty_layer()
    pixel = 1 / geometry.pixels_per_metre
    finest = _sheet_spacing(mesh, look, rig_skin, dressed, unit) * pixel
    points = scatter(mesh, spacing_for(mesh, budget, finest), rng=rng)
    at = points.pixels
    x, y = at[:, 0].astype(int), at[:, 1].astype(int)
    is_skin = ~dressed[y, x]
    alpha = sample(look.alpha, at)
    ends = np.ones_like(alpha)
    if not has_bust(geometry, look, unit):
        ends = ramp(sample(distance_to(~look.valid), at), 0, _SOFT_EDGE * unit)
    from_clothes = np.clip(sample(distance_to(dressed), at) / (_COLLAR_EDGE * unit), 0, 1)
    purity = np.where(
        is_skin & (alpha > OPAQUE), np.minimum(sample(look.purity, at), from_clothes), 1
    )
    purity = np.where(on_rig[y, x], 0, purity)  # the neck behind the jaw
    # at the jaw, pixels mix skin and collar: the colour of the skin around is used there
    around = 2 * _COLLAR_EDGE * unit
    skin_color = fill_from(
        mean_around(look.image, look.pure_skin, around), blur(look.pure_skin, around)
    )
    # and where a lock or a collar's shadow is unlike it: they would float next to the neck when the head turns
    unlike = np.linalg.norm(sample(look.image, at) - sample(skin_color, at), axis=1)
    purity = np.where(is_skin, purity * (1 - ramp(unlike, *_UNLIKE_SKIN)), purity)
    colors = purity[:, None] * sample(look.image, at) + (1 - purity[:, None]) * sample(
        skin_color, at
    )
    layer = surface_layer(
        points.means,
        points.normals,
        points.spacing * COVERAGE,
        colors,
        Region.CLOTHES,
        color_freedom=purity,
        opacity=np.clip(alpha * ends * 0.95, 0.05, 0.95),
        least_opacity=np.where((alpha > OPAQUE) & (ends > 0.99), 0.6, 0.02),
    )
    layer.regions[:] = np.where(is_skin, int(Region.SKIN), int(Region.CLOTHES))
    layer.triangles[:] = np.where(
        is_skin & ~nape[y, x], _nearest_skin_triangle(geometry, 9 * unit)[y, x], -1
    )
    return layer


def _without_steep_skin(mesh: GridMesh, dressed: BoolArray) -> GridMesh:
    """The mesh without skin triangles across a step in depth, as behind ears and jaw: when turned, they would be slivers."""
    if not len(mesh.triangles):
        return mesh
    z = mesh.vertices[mesh.triangles][:, :, 2]
    x, y = mesh.pixels[mesh.triangles[:, 0]].astype(int).T
    steep = ~dressed[y, x] & (z.max(1) - z.min(1) > 0.006)
    return GridMesh(mesh.vertices, np.ascontiguousarray(mesh.triangles[~steep]), mesh.pixels)


def _without_cut_off_skin(loose: BoolArray, nape: BoolArray, unit: float) -> BoolArray:
    """Skin off the rig (H, W) without small components that the neck's side (H, W) has cut off from the rest.

    Without this the astronaut's border steps rise by 0.6, and by 1.9 without `_without_steep_skin`.
    """
    left = without_strips(loose, unit)
    _, pieces = cv2.connectedComponents(left.astype(np.uint8))
    cut = np.isin(pieces, np.unique(pieces[left & dilate(nape, 3 * unit)]))
    return left & ~(cut & ~without_small(left, PART * unit**2))


def beside_neck(geometry: PhotoGeometry, loose: BoolArray, unit: float) -> BoolArray:
    """(H, W) mask of skin off the rig on the neck's side: below the ears, beyond the rig's outline, continued behind the jaw.

    Bound to the jaw in front, it would be torn from the rest of the neck when the head turns.
    """
    low = (
        geometry.to_head(
            geometry.camera.unproject(pixel_centers(loose.shape), _neck_depth(geometry))
        )[..., 1]
        < EAR_LOBES
    )
    off = ~geometry.part_map(Part.SKIN, Part.BODY)
    seen = loose & low & dilate(loose & low & off, 4 * unit)
    behind = geometry.part_map(Part.SKIN) & (
        geometry.seen.depth < _neck_depth(geometry) - _OVER_NECK
    )
    return seen | (dilate(seen, _UNDER_JAW * unit) & behind & low)


def _nape_depth(geometry: PhotoGeometry, depth: Float32Array, dressed: BoolArray) -> Float32Array:
    """Depth (H, W) of the neck's side: that of its outline, but in front of adjacent clothes, and behind the jaw."""
    behind = _neck_depth(geometry)
    if dressed.any():
        behind = np.minimum(
            behind, fill_from(np.where(dressed, depth, 0), dressed) - _BEFORE_COLLAR
        )
    jaw = geometry.seen.depth
    return np.maximum(behind, np.where(np.isfinite(jaw), jaw + 0.5 * _OVER_NECK, 0)).astype(
        np.float32
    )


def _neck_depth(geometry: PhotoGeometry) -> Float32Array:
    """Depth (H, W), metres, of the plane through the neck's axis, which contains its outline."""
    return np.full(geometry.seen.depth.shape, geometry.neck_axis(CHIN_HEIGHT)[2], np.float32)


def _sheet_spacing(
    mesh: GridMesh, look: Appearance, rig_skin: BoolArray, dressed: BoolArray, unit: float
) -> FloatArray:
    """Pixels between Gaussians, (T,): wide on plain cloth, narrower on detail, narrowest at the face and at collars."""
    middles = mesh.pixels[mesh.triangles].mean(1)
    detail = blur(np.abs(look.image - blur(look.image, 2.5)).mean(2), 4)
    busy = np.clip(sample(detail, middles) / 0.03, 0, 1)
    bare = (look.skin > SURE) & look.visible & ~dressed
    collar = dilate(bare, _COLLAR_EDGE * unit) & dilate(dressed, _COLLAR_EDGE * unit)
    fine = sample(blur(dilate(rig_skin, 6 * unit) | collar, 3 * unit), middles)
    return (5.8 - 2.3 * busy) * (1 - fine) + 2.2 * fine


def _nearest_skin_triangle(geometry: PhotoGeometry, reach: float) -> Int32Array:
    """Rows (H, W) of the rig's skin triangles seen nearest to the pixels, -1 beyond `reach` pixels."""
    distance, rows, columns = nearest_true(geometry.part_map(Part.SKIN))
    nearest = geometry.triangle_rows[geometry.seen.triangle_ids[rows, columns]]
    return np.where(distance < reach, nearest, np.int32(-1))


def backing_layer(
    geometry: PhotoGeometry,
    look: Appearance,
    depth: Float32Array,
    unit: float,
    rng: np.random.Generator,
) -> Layer:
    """The collar behind neck and jaw, which becomes visible next to the neck when the head turns."""
    dressed = (look.clothes > SURE) & look.opaque
    between = np.zeros_like(dressed)
    for row in np.nonzero(dressed.sum(1) > 8 * unit)[0]:
        columns = np.nonzero(dressed[row])[0]
        between[row, columns[0] : columns[-1]] = True
    mask = dilate(between & ~dressed & look.opaque, 4 * unit) & look.opaque
    if dressed.sum() < PART * unit**2 or mask.sum() < ENOUGH:
        return empty_layer()
    across = fill_from(np.where(dressed, depth, 0), dressed)
    behind = np.where(geometry.seen.covered, geometry.seen.depth + _NECK_THICKNESS, 0)
    beside = np.where(dressed, across + COVERING, _neck_depth(geometry) + _OVER_NECK)
    mesh = grid_mesh(
        geometry.camera, np.maximum.reduce([across, behind, beside]).astype(np.float32), mask
    )
    points = scatter(mesh, 5.5 / geometry.pixels_per_metre, rng=rng)
    colors = 0.75 * sample(fill_from(look.image, dressed), points.pixels)
    return surface_layer(
        points.means,
        points.normals,
        points.spacing * COVERAGE * 1.1,
        colors,
        Region.CLOTHES,
        freedom=0.0,
        color_freedom=0.0,
        least_opacity=0.9,
    )


def clothes_barely_shown(
    geometry: PhotoGeometry, look: Appearance, dressed: BoolArray, unit: float
) -> bool:
    """Whether the photo ends so close below the chin that it shows only a corner of the clothes."""
    shown = (dressed | on_shirt(geometry, look)) & look.person & look.valid & (look.hair < 0.5)
    area = shown.sum() / geometry.pixels_per_metre**2
    return not has_bust(geometry, look, unit) and bool(area < _LEAST_DRESSED_AREA)
