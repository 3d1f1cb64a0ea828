"""Hair: Gaussians on the inflated shell, elongated along the strands in the photo."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from offline.gaussian_layer import COVERAGE, Layer, empty_layer, join, surface_layer
from offline.images import (
    blur,
    dilate,
    distance_to,
    fill_from,
    nearest_true,
    sample,
    strand_direction,
)
from offline.lift.depth import HairShell, rim_strip
from offline.lift.pixel_mesh import (
    GridMesh,
    GridPoints,
    expected_points,
    grid_mesh,
    scatter,
    spacing_for,
    turned_over,
)
from offline.lift.strand_directions import (
    along_strands,
    relative_brightness,
    unseen_direction,
)
from offline.numeric import facing_of, ramp
from offline.numeric import normalized as unit_vectors
from offline.priors import PATCH, SAME_PLACE
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.skinning import head_weights
from offline.rig.template_regions import NECK_ELLIPSE, NECK_TOP, neck_radius
from offline.segment.appearance import Appearance
from offline.segment.contract import OPAQUE
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.regions import Region

# Shares of the hair's Gaussians: in front, as lining, at the back, around the edge
_SHARES = (0.55, 0.14, 0.23, 0.08)
_FINEST = (2.1, 4.6, 3.6, 3.2)  # pixels between them at least
_RIM = 4.0  # pixels (eye distance 115) over which hair fades into the face
# Pixels inside the matte over which refinement of hair's colours becomes free
_EDGE = (0.5, 4.5)
# Share of hair in a pixel from which refinement may change a strand's colour, and from which freely. Else a dozen strands next to
# the cheek take the skin's colour, and are specks when the head turns.
_HAIR_ALONE = 0.3, 0.9
# Squared distance of hair and skin in colour below which they are not separable
_LEAST_CONTRAST = 0.02
# Square root of a Gaussian's ratio of length to width: visible, and invisible ones
_STRAND, _LONG_STRAND = (1.5, 2.8)
# Pixels (eye distance 115) over which strands and locks differ from the hair around them
_LOCK = 9.0
# Factor of the strands' contrast, since large Gaussians blend into their neighbours; and the
# deviation from the surrounding hair up to which it is raised
_BLENDED, _LOUDEST = (2.2, 0.36)
_LIGHT = 0.5, 1.8  # bounds of a strand's brightness over that of the hair around it
_HUES = 0.5  # of the strands' differences in hue that is kept where their contrast is raised
_NO_HAIR = (0.3, 0.5)  # distances in colour of hair, and of what is none
_SEED = 23
_ASIDE = (0.065, 0.105)  # metres from the neck's axis: next to the neck, and clearly farther out
# Metres, head frame: heights between which long hair passes from the shoulders to the head
_SWINGS = (-0.25, NECK_TOP)
_RIM_INSET = 2.2  # pixels (eye distance 115) inside the silhouette where front and back are joined
_LEAST_WIDE = 6.0  # pixels (eye distance 115), half width from which hair has a side surface; narrower locks are flat


_BACK_OF_EARS = -0.08  # metres, head frame: in front of it invisible hair does not touch skin


def hair_share(look: Appearance, hair: BoolArray, unit: float) -> Float32Array:
    """Share of hair in each pixel, (H, W) in [0, 1]: 1 on `hair` (H, W), less where its edge mixes with the face.

    A mixed pixel lies between the colours of the neighbouring hair and skin; its position between them is its share. unit:
    pixels, eye distance / 115.
    """
    pure = look.pure_skin
    if not pure.any():
        return hair.astype(np.float32)
    skin = fill_from(look.image, pure)
    contrast = look.hair_color - skin
    share = ((look.image - skin) * contrast).sum(2) / np.maximum(
        (contrast**2).sum(2), _LEAST_CONTRAST
    )
    rim = (
        dilate(hair & look.opaque, _RIM * unit)
        & ~hair
        & (look.skin + look.hair > 0.5)
        & look.opaque
    )
    near = np.clip(1 - distance_to(hair) / (_RIM * unit), 0, 1) ** 0.5
    return np.where(hair, 1, np.where(rim, np.clip(share, 0, 1) * near, 0)).astype(np.float32)


def hair_surfaces(
    geometry: PhotoGeometry, look: Appearance, shell: HairShell, unit: float
) -> tuple[GridMesh, ...]:
    """Front, inner lining, back and edge of the hair. unit: pixels, eye distance / 115."""
    camera = geometry.camera
    thick = (distance_to(~look.opaque) > 4 * unit) & (shell.back - shell.front > 0.02)
    return (
        grid_mesh(camera, shell.front, shell.front_mask & look.visible),
        grid_mesh(camera, shell.front + np.float32(0.007), shell.front_mask & thick),
        turned_over(
            grid_mesh(
                camera,
                shell.back,
                shell.back_mask & (distance_to(~shell.back_mask) > _RIM_INSET * unit),
            )
        ),
        rim_strip(camera, shell, look.person, _RIM_INSET * unit, _LEAST_WIDE * unit),
    )


def most_hair(surfaces: tuple[GridMesh, ...], pixels_per_metre: float) -> int:
    """How many Gaussians `hair_layers` places at most on the `hair_surfaces`; 0 on none, those of a bald head."""
    if not surfaces:
        return 0
    return sum(
        expected_points(mesh, finest / pixels_per_metre)
        for mesh, finest in zip(surfaces, _FINEST, strict=True)
    )


def hair_layers(
    geometry: PhotoGeometry,
    look: Appearance,
    surfaces: tuple[GridMesh, ...],
    share: Float32Array,
    unit: float,
    budget: int,
    rng: np.random.Generator,
) -> Layer:
    """Front, inner lining and back of the hair.

    surfaces: of `hair_surfaces`; share: (H, W) as of `hair_share`; unit: pixels, eye distance / 115; budget: about how many
    Gaussians there may be.
    """
    flow = strand_direction(look.image, 3 * unit)
    pixel = 1 / geometry.pixels_per_metre
    front, lining, back, rim = (
        scatter(mesh, spacing_for(mesh, portion * budget, finest * pixel), rng=rng)
        for mesh, portion, finest in zip(surfaces, _SHARES, _FINEST, strict=True)
    )
    seen = _seen_strands(look, flow, unit)

    def inner(points: GridPoints, shade: float, region: Region) -> Layer:
        return _inner_layer(geometry, look, points, seen, shade, region)

    return join(
        _front_layer(look, share, front, flow, pixel, seen),
        inner(lining, 0.78, Region.HAIR),
        inner(back, 0.92, Region.HAIR_BACK),
        inner(rim, 0.97, Region.HAIR_BACK),
    )


def clear_of_skin(hair: Layer, skin: Layer, geometry: PhotoGeometry) -> Layer:
    """Hair without invisible Gaussians that touch bare skin from within: they would be specks on cheek and ear."""
    bare = skin.gaussians.means[skin.regions == Region.SKIN]
    back = np.nonzero(hair.regions == Region.HAIR_BACK)[0]
    if not len(bare) or not len(back):
        return hair
    means = hair.gaussians.means[back]
    near = (KDTree(bare).query(means)[0] < SAME_PLACE) & (
        geometry.to_head(means)[:, 2] > _BACK_OF_EARS
    )
    keep = np.ones(len(hair), np.bool_)
    keep[back[near]] = False
    return hair.select(keep)


def hair_weights(points: FloatArray) -> Float32Array:
    """Skinning weight of hair when the head turns on the shoulders: that of the neck next to it, falling off outwards.

    points: (N, 3) metres, head frame of the photo. Returns (N,).
    """
    aside = ramp(neck_radius(points, depth_scale=NECK_ELLIPSE), *_ASIDE)
    return (head_weights(points) * (1 - aside) + ramp(points[:, 1], *_SWINGS) * aside).astype(
        np.float32
    )


def _along(flow: Float32Array, points: GridPoints) -> FloatArray:
    """Direction (N, 3) within the surface whose projection follows the flow."""
    direction, normals = sample(flow, points.pixels), points.normals
    steep = np.where(
        np.abs(normals[:, 2]) < 0.2, 0.2 * np.sign(normals[:, 2] - 1e-6), normals[:, 2]
    )
    depth = -(direction * normals[:, :2]).sum(1) / steep
    return np.concatenate([direction, depth[:, None]], 1)


def _front_layer(
    look: Appearance,
    share: Float32Array,
    points: GridPoints,
    flow: Float32Array,
    pixel: float,
    seen: _Strands | None,
) -> Layer:
    """Visible hair. share: (H, W) of hair in a pixel; flow: (H, W, 2) direction of the strands; pixel: metres."""
    along = _along(flow, points)
    facing = facing_of(points.means, points.normals)
    clear = np.clip((facing - 0.1) / 0.35, 0, 1)[:, None]
    # pixels seen at a grazing angle would be stretched over the side: other strands of this hair are drawn there
    strands = sample(look.hair_color, points.pixels)
    if seen is not None:
        around = sample(seen.around, points.pixels)
        # clothes that show between strands stay
        smeared = sample(blur(look.image, 2.0, sigma_y=4.0), points.pixels)
        other = ramp(np.linalg.norm(smeared - around, axis=1), *_NO_HAIR)[:, None]
        strands = (1 - other) * around * seen.drawn(points.means, along) + other * smeared
    colors = clear * sample(look.image, points.pixels) + (1 - clear) * strands
    of_hair = sample(share, points.pixels)
    colors = np.where((of_hair < 0.99)[:, None], sample(look.hair_color, points.pixels), colors)
    alpha = sample(look.alpha, points.pixels) * of_hair
    sigma = points.spacing[:, None] * COVERAGE * np.array([_STRAND, 1 / _STRAND * 1.15])
    to_edge = sample(distance_to(~look.person), points.pixels)[:, None]
    sigma = np.minimum(sigma, 0.5 * points.spacing[:, None] + 0.3 * to_edge * pixel)
    # at the matte's edge refinement would blacken hair that covers too much, a dark line from the side
    own = ramp(sample(distance_to(~look.opaque), points.pixels), *_EDGE)
    return surface_layer(
        points.means,
        points.normals,
        sigma,
        colors,
        Region.HAIR,
        along=along,
        thickness=0.8,
        opacity=np.clip(alpha * 0.95, 0.03, 0.95),
        freedom=np.clip((facing - 0.1) / 0.4, 0.3, 1),
        # nor give hair the colour of skin, wall or collar in the same pixels
        color_freedom=clear[:, 0] * own * ramp(of_hair, *_HAIR_ALONE),
        least_opacity=np.where(alpha > OPAQUE, 0.6, 0.02),
    )


@dataclass(frozen=True, eq=False)
class _Strands:
    """Appearance of the strands in the photo, and what is drawn from it where the photo shows none."""

    light: Float32Array
    """(P, 3) brightness over that of the surrounding hair, of pixels of hair."""
    around: Float32Array
    """(H, W, 3) colour of the surrounding hair, extended over the picture."""
    flow: Float32Array
    """(H, W, 2) direction of the strands; beyond the hair, that of the nearest."""
    contrast: float
    """Factor of the contrast."""
    rng: np.random.Generator

    def drawn(self, places: FloatArray, along: FloatArray) -> FloatArray:
        """Brightness (N, 3) over that of the surrounding hair at places (N, 3) of strands along (N, 3)."""
        picked = self.light[self.rng.integers(len(self.light), size=len(places))]
        gray = picked.mean(1, keepdims=True)
        picked = gray + _HUES * (picked - gray)
        light = along_strands(places.astype(np.float64), along, picked.astype(np.float64))
        return np.clip(1 + self.contrast * (light - 1), *_LIGHT)


def _seen_strands(look: Appearance, flow: Float32Array, unit: float) -> _Strands | None:
    """None where the photo shows no hair with certainty. flow: (H, W, 2)."""
    sure = look.sure_hair
    if not sure.any():
        return None
    _, rows, columns = nearest_true(sure)
    light = relative_brightness(look.image, sure, _LOCK * unit)
    contrast = np.clip(_LOUDEST / max(float(light[sure].std()), 1e-3), 1, _BLENDED)
    return _Strands(
        light[sure],
        blur(look.hair_color, 2 * _LOCK * unit),
        flow[rows, columns],
        float(contrast),
        np.random.default_rng(_SEED),
    )


def _smooth(points: GridPoints) -> FloatArray:
    """Normals (N, 3) averaged over neighbours: at the silhouette's creases strands would else stand off the surface."""
    near = np.asarray(KDTree(points.means).query(points.means, k=min(PATCH, len(points)))[1])
    return unit_vectors(points.normals[near.reshape(len(points), -1)].mean(1))


def _inner_layer(
    geometry: PhotoGeometry,
    look: Appearance,
    points: GridPoints,
    seen: _Strands | None,
    shade: float,
    region: Region,
) -> Layer:
    """Invisible hair, with colours, contrast and strand directions of the visible hair in front of it.

    shade: brightness relative to the photo's.
    """
    if not len(points) or seen is None:
        return empty_layer()
    points = replace(points, normals=_smooth(points))
    sure = look.sure_hair
    typical = np.median(look.image[sure], 0)
    # Around the head, hair continues as where it is last visible
    before = 0.75 * sample(blur(sure, 2.0), points.pixels)[:, None]
    own = np.maximum(before, 0.35)
    colors = own * sample(seen.around, points.pixels) + (1 - own) * typical
    places = geometry.to_head(points.means.astype(np.float64))
    sigma = points.spacing[:, None] * COVERAGE * np.array([_LONG_STRAND, 1 / _LONG_STRAND * 1.25])
    to_edge = (
        sample(distance_to(~look.person), geometry.camera.project(points.means))
        / geometry.pixels_per_metre
    )
    # No Gaussians that stick out of the outline
    sigma[:, 0] = np.minimum(sigma[:, 0], 0.55 * points.spacing + 0.4 * to_edge)
    along = before * unit_vectors(_along(seen.flow, points)) + (1 - before) * (
        unseen_direction(places) @ geometry.R_cam_head.T
    )
    colors = colors * seen.drawn(points.means, along)
    return surface_layer(
        points.means,
        points.normals,
        sigma,
        colors * shade,
        region,
        along=along,
        thickness=0.5,
        opacity=0.95,
        freedom=0.0,
        color_freedom=0.0,
        least_opacity=0.9,
    )
