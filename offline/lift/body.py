"""The rig's neck and shoulders under the clothes' sheet, and what the photo shows of them.

They close holes when the head turns. Below a photo that ends at the throat they are all that is seen: there they are moved up or
down to the photo's outline, and carry on its colours, with a round neckline.
"""

from __future__ import annotations

import numpy as np

from offline.gaussian_layer import COVERAGE, Layer, surface_layer
from offline.images import blur, distance_to, fill_from, sample
from offline.numeric import facing_of, ramp
from offline.priors import BESIDE_EDGE, COVERING, ENOUGH, PART
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.template_regions import CHIN_HEIGHT, COLLAR
from offline.sampling import poisson_disk
from offline.segment.appearance import Appearance
from offline.segment.contract import OPAQUE, SURE
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.camera import Camera
from perse_live.head.rig import Part
from perse_live.regions import Region

_NEUTRAL_SHIRT = np.array([0.20, 0.22, 0.26], np.float32)  # where a photo ends above the clothes
# Pixels (eye distance 115) from the photo's lower edge up to which made-up shoulders are continued
_CONTINUED = 45.0
_COLLAR_SLOPE = -0.3  # metres of height over metres of depth
_BUST_GAP = 10  # pixels (eye distance 115) that may be left below them
_JAW_SHADOW = 0.85  # brightness of the neck's skin under the jaw, of the face's
# Metres from the symmetry plane within which skin is the throat's, and over which one shoulder passes into the other
_MIDDLE = 0.03
_AS_MUCH = 0.5  # of the other shoulder's area that must be seen of one to tell them apart
# Pixels between Gaussians where details are seen; and sizes of coarser and of such Gaussians over those of other surfaces: the
# background shows between coarse ones at 1.3
_FINE, _WIDER = 3.5, (1.55, 1.3)
_NECKLINE = 0.6  # depth of a neckline below the photo, of half its width: a round collar's
# Share of clothes on shoulders up to which they are bare, and from which they are dressed
_DRESSED = (0.2, 0.5)
# Square metres of clothes from which they are the bust, and least share of them on either side
_BUST, _ONE_SHOULDER = (0.0015, 0.25)
_SOFT_COLLAR = 3.0  # pixels (eye distance 115) over which the body's skin passes into its clothes
# Pixels (eye distance 115): blur of a shirt's colours that are carried on below the photo
_SOFT_SHIRT = 8.0


def body_layer(
    geometry: PhotoGeometry,
    look: Appearance,
    depth: Float32Array,
    dressed: BoolArray,
    shift: Float32Array,
    barely_shown: bool,
    unit: float,
    rng: np.random.Generator,
) -> Layer:
    """Gaussians of the rig's neck and shoulders.

    depth: (H, W) metres of the sheet; dressed: (H, W) visible clothes; shift: (W,) pixels down from the outline of the rig's body
    to the photo's; barely_shown: as of `clothes.clothes_barely_shown`, no sheet of clothes lies over the body then.
    """
    rig, camera, own_bust = geometry.rig, geometry.camera, has_bust(geometry, look, unit)
    edge = _collar_height(geometry, look)
    spacing = _spacing(geometry, look, dressed, edge, own_bust, unit)
    points = poisson_disk(geometry.vertices, rig.triangles, spacing, rng=rng)
    rest = geometry.on_template(points)
    surface, normals = geometry.on_rig(points)
    if not own_bust:
        column = np.clip(camera.project(surface)[:, 0], 0, camera.width - 1)
        down = np.interp(column, np.arange(camera.width), shift) * surface[:, 2] / camera.fy
        surface = surface + np.outer(down, (0, 1, 0))
    inside_neckline = _inside_neckline(geometry, look, dressed, camera.project(surface))
    bare = np.maximum.reduce(
        [
            ramp(_over_collar(rest, edge), -0.001, 0.001),
            _bare_shoulders(geometry, look, dressed, rest, unit),
            ramp(inside_neckline, 0, 2 * _SOFT_COLLAR * unit),
        ]
    )
    means = surface - normals * (COVERING + COVERING * bare)[:, None]
    pixels, facing = _inside(camera, means), facing_of(means, normals)
    in_photo = (pixels == camera.project(means)).all(1) & (sample(look.valid, pixels) > 0.99)
    # as what lies in front of it in the photo, visible where that fades and once the neck has turned away
    as_seen = (in_photo & (facing > 0.1)) * ramp(sample(look.alpha, pixels), 0.3, 0.6)
    as_seen = (as_seen * bare if barely_shown else as_seen)[:, None]
    seen = _colors_in_photo(look, dressed, pixels, barely_shown, unit)
    unseen = _colors_outside(look, dressed, pixels, bare[:, None], normals, unit)
    # Under a sheet of clothes Gaussians are made smaller, down to half, so that two standard deviations stay within the person:
    # beside a neck narrower than the rig's they would show before the background
    room = sample(distance_to(~look.opaque & look.valid), pixels) / geometry.pixels_per_metre
    coarse = (points.spacing > 1.1 * _FINE / geometry.pixels_per_metre) & (not own_bust)
    size = points.spacing * COVERAGE * np.where(coarse, *_WIDER)
    layer = surface_layer(
        means,
        normals,
        np.where(in_photo & own_bust, np.clip(room / 2, size / 2, size), size),
        as_seen * seen + (1 - as_seen) * unseen,
        Region.BODY,
        triangles=points.triangle,
        freedom=0.0,
        color_freedom=1.0,
        least_opacity=0.9,
    )
    alpha = sample(look.alpha, pixels)
    below_collar = _over_collar(rest, edge) < 0
    # next to the photo's edge the shoulders below it are continued, or the collar at the nape would float above them
    ending = (sample(distance_to(~look.valid), pixels) < _CONTINUED * unit) & below_collar
    behind = means[:, 2] > depth[pixels[:, 1].astype(int), pixels[:, 0].astype(int)] + 0.003
    under_sheet = (alpha > OPAQUE) & (behind | (facing <= 0)) | (ending & (not own_bust))
    if barely_shown:  # no sheet of clothes lies over it
        under_sheet |= (alpha > 0.3) & (facing > 0) & below_collar
    return layer.select(np.where(in_photo, under_sheet, not own_bust))


def _inside(camera: Camera, points: FloatArray) -> FloatArray:
    """Pixels (N, 2) of points (N, 3), moved into the frame."""
    limit = np.array([camera.width, camera.height], np.float32)
    return np.clip(camera.project(points), 1, limit - 1.01)


def _spacing(
    geometry: PhotoGeometry,
    look: Appearance,
    dressed: BoolArray,
    edge: float,
    own_bust: bool,
    unit: float,
) -> FloatArray:
    """Metres (T,) between Gaussians on the rig's triangles, 0 where there are none.

    Narrow where the shirt begins, at its collar and along the photo's edge; wide under a sheet of clothes. dressed: (H, W).
    """
    rig, template = geometry.rig, geometry.triangle_template()
    middles = geometry.vertices[rig.triangles].mean(1)
    pixels, at = geometry.camera.project(middles), _inside(geometry.camera, middles)
    beyond = np.linalg.norm(pixels - at, axis=1)
    from_edge = beyond + sample(distance_to(look.valid) + distance_to(~look.valid), at)
    from_collar = _over_collar(template, edge)
    fine = (np.abs(from_collar) < 0.008) | (from_edge < 12 * unit)
    fine |= _inside_neckline(geometry, look, dressed, pixels) > -12 * unit
    hidden = (from_collar <= 0) & (own_bust | (beyond > 0))
    apart = np.where(fine, _FINE, np.where(hidden, 10.0, 7.5))
    shown = (rig.parts == Part.BODY) & (template[:, 2] > -0.15)
    return np.where(shown, apart / geometry.pixels_per_metre, 0.0)


def _colors_in_photo(
    look: Appearance, dressed: BoolArray, pixels: FloatArray, barely_shown: bool, unit: float
) -> FloatArray:
    """Colours (N, 3) of the body where the photo shows what lies in front of it. dressed: (H, W)."""
    cloth = _cloth(look)
    if barely_shown or not cloth.any():
        return sample(look.image, pixels)
    fabric = sample(blur(dressed, _SOFT_COLLAR * unit), pixels)[:, None]
    skin = sample(fill_from(look.image, look.sure_skin & look.valid), pixels)
    shirt = sample(blur(fill_from(look.image, cloth), 2 * unit), pixels)
    return fabric * shirt + (1 - fabric) * _JAW_SHADOW * skin


def _colors_outside(
    look: Appearance,
    dressed: BoolArray,
    pixels: FloatArray,
    bare: FloatArray,
    normals: FloatArray,
    unit: float,
) -> FloatArray:
    """Colours (N, 3) of the body beyond the photo: its clothes' and skin's next to its edge, shaded farther away.

    dressed: (H, W); pixels: (N, 2), next to the photo; bare: (N, 1) share of skin; normals: (N, 3), camera frame.
    """
    cloth, skin = _cloth(look), (look.skin > SURE) & ~dressed & look.valid & look.opaque
    away = ramp(sample(distance_to(look.valid), pixels), 0, _CONTINUED * unit)[:, None]
    shirt = _NEUTRAL_SHIRT
    if cloth.sum() >= ENOUGH:
        beside = sample(blur(fill_from(look.image, cloth), _SOFT_SHIRT * unit), pixels)
        shirt = (1 - away) * beside + away * np.median(look.image[cloth], 0)
    # folds of a plain shirt: darker where the surface turns away
    folds = (0.8 + 0.25 * np.clip(-normals[:, 2:], 0, 1)) * (1 - 0.25 * bare)
    throat = sample(fill_from(look.image, skin), pixels) * (1 - away * (1 - _JAW_SHADOW))
    return bare * throat + (1 - bare) * shirt * (1 + away * (folds - 1))


def _cloth(look: Appearance) -> BoolArray:
    """(H, W) pixels that tell of the clothes' colours."""
    return (look.clothes > SURE) & look.opaque & look.valid


def _bare_shoulders(
    geometry: PhotoGeometry,
    look: Appearance,
    dressed: BoolArray,
    rest: FloatArray,
    unit: float,
) -> FloatArray:
    """Share of bare skin (N,) at points (N, 3) of the mean head, by what the photo shows of the shoulder on their side.

    0 where it shows too little. Where it shows far less of one than of the other, they are alike. dressed: (H, W).
    """
    place = geometry.template_map()
    with np.errstate(invalid="ignore"):
        shoulders = (
            geometry.part_map(Part.BODY)
            & (_over_collar(place, COLLAR) < 0)
            & (np.abs(place[..., 0]) > _MIDDLE)
            & look.opaque
            & look.valid
            & (look.hair < SURE)
        )
        left = shoulders & (place[..., 0] > 0)
    sides = (shoulders & ~left, left)
    areas = [side.sum() for side in sides]
    if min(areas) < _AS_MUCH * max(areas):
        sides = (shoulders, shoulders)
    bare = [
        1 - float(ramp(dressed[side].mean(), *_DRESSED)) if side.sum() > 2 * PART * unit**2 else 0.0
        for side in sides
    ]
    of_left = ramp(rest[:, 0], -_MIDDLE, _MIDDLE)
    return np.asarray(of_left * bare[1] + (1 - of_left) * bare[0])


def _inside_neckline(
    geometry: PhotoGeometry, look: Appearance, dressed: BoolArray, pixels: FloatArray
) -> FloatArray:
    """How far pixels (N, 2) below a photo that ends at the throat lie above the edge of a round neckline.

    The neckline is a parabola through the ends of the skin at the photo's lower edge; negative outside. dressed: (H, W).
    """
    height, width = dressed.shape
    ends = height - np.argmax(look.valid[::-1], 0)
    rows = np.clip(ends - np.arange(*BESIDE_EDGE)[:, None], 0, height - 1)
    skin = ((look.skin > SURE) & ~dressed)[rows, np.arange(width)].mean(0) > 0.5
    middle = neck_column(geometry)
    if not 0 < middle < width - 1 or not skin[middle]:
        return np.full(len(pixels), -np.inf)
    half = min(np.argmin(skin[middle::-1]), np.argmin(skin[middle:]))
    across = (pixels[:, 0] - middle) / max(half, 1)
    below = pixels[:, 1] - ends[np.clip(pixels[:, 0], 0, width - 1).astype(int)]
    inside = (np.abs(across) < 1) & (below >= 0)
    return np.where(inside, _NECKLINE * half * (1 - across**2) - below, -np.inf)


def has_bust(geometry: PhotoGeometry, look: Appearance, unit: float) -> bool:
    """Whether the photo shows enough of the clothes, or of hair over them, on both sides of the neck, to be the bust.

    A bust that ends above the frame's lower edge would float.
    """
    over_clothes = (look.hair > SURE) & on_shirt(geometry, look)
    seen = ((look.clothes > SURE) | over_clothes) & look.opaque & look.valid
    middle = int(np.clip(neck_column(geometry), 0, seen.shape[1]))
    sides = (
        np.array([seen[:, :middle].sum(), seen[:, middle:].sum()]) / geometry.pixels_per_metre**2
    )
    enough = sides.sum() > _BUST and sides.min() > _ONE_SHOULDER * _BUST
    return bool(enough and look.valid[-round(_BUST_GAP * unit) :].any())


def neck_column(geometry: PhotoGeometry) -> int:
    """Pixels: where the body's symmetry plane is seen."""
    return int(geometry.camera.project(geometry.neck_axis(COLLAR)[None].astype(np.float32))[0, 0])


def on_shirt(geometry: PhotoGeometry, look: Appearance) -> BoolArray:
    """(H, W) where the rig's body is visible and has clothes."""
    place = geometry.template_map()
    with np.errstate(invalid="ignore"):
        return geometry.part_map(Part.BODY) & (
            _over_collar(place, _collar_height(geometry, look)) < 0
        )


def _collar_height(geometry: PhotoGeometry, look: Appearance) -> float:
    """Height on the mean head, metres, at the throat, below which the invisible body has clothes: at most that in the photo."""
    place = geometry.template_map()
    with np.errstate(invalid="ignore"):
        throat = (
            geometry.part_map(Part.SKIN, Part.BODY)
            & look.valid
            & (np.abs(place[..., 0]) < 0.03)
            & (place[..., 1] < CHIN_HEIGHT)
        )
    return min(COLLAR, float(place[throat, 1].min())) if throat.any() else COLLAR


def _over_collar(rest: FloatArray, collar: float) -> FloatArray:
    """Height of points (..., 3) of the mean head above the edge of its clothes, metres; the edge rises towards the nape."""
    above = rest[..., 1] - collar - _COLLAR_SLOPE * (rest[..., 2] + 0.02)
    return np.minimum(above, 0.075 - np.hypot(rest[..., 0], 0.9 * (rest[..., 2] + 0.06)))
