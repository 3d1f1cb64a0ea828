"""Per-pixel input of the lift: matte, parts, and colours without background at the edges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offline.images import blur, dilate, distance_to, erode, fill_from, nearest_true
from offline.portrait import Portrait
from offline.priors import ENOUGH
from offline.rig.photo_geometry import PhotoGeometry, before_face
from offline.rig.template_regions import THROAT
from offline.segment import color_model, multiclass
from offline.segment.contract import BACKGROUND, OPAQUE, SURE, VISIBLE, PartMaps, parts_of
from offline.segment.landmark_masks import eye_openings, face_oval, mouth_opening
from offline.segment.matte import person_mask, person_near_face, soft_matte, without_haze
from offline.texture.mirror import bare_in_mirror
from perse_live.arrays import BoolArray, Float32Array
from perse_live.head.rig import Part

# Pixels (eye distance 115) over which the colours along an outline are doubtful: mixed ones, and the light seam that sharpening
# draws. At 3.5 a light line shows on single_face's turned cheek.
_SEAM = 7.0


@dataclass(frozen=True)
class Appearance:
    """Per-pixel input of the lift."""

    image: Float32Array
    """(H, W, 3) foreground colour in [0, 1]; at soft edges freed of the background."""
    alpha: Float32Array
    """(H, W) the person's matte."""
    skin: Float32Array
    """(H, W) probability of skin."""
    purity: Float32Array
    """(H, W) in [0, 1]: 0 where a pixel mixes skin with neighbouring hair, clothes or background."""
    hair: Float32Array
    """(H, W) probability of hair."""
    clothes: Float32Array
    """(H, W) probability of clothes."""
    hair_color: Float32Array
    """(H, W, 3) hair colour spread over the whole picture."""
    openings: BoolArray
    """(H, W) where eyeballs or the inside of the mouth show."""
    valid: BoolArray
    """(H, W) inside the photo."""
    lip_edges: Float32Array | None = None
    """(H, W) in [0, 1]: where lips at an open mouth keep their colour whatever the photo shows; None: nowhere."""

    @property
    def visible(self) -> BoolArray:
        """(H, W) pixels that show something of the person, such as thin hair."""
        return self.alpha > VISIBLE

    @property
    def person(self) -> BoolArray:
        """(H, W) pixels that show more of the person than of the background."""
        return self.alpha > 0.5

    @property
    def opaque(self) -> BoolArray:
        """(H, W) pixels that show the person alone."""
        return self.alpha > OPAQUE

    @property
    def sure_skin(self) -> BoolArray:
        """(H, W) pixels of skin, to learn its colours from."""
        return (self.skin > SURE) & self.opaque

    @property
    def sure_hair(self) -> BoolArray:
        """(H, W) pixels of hair, to learn its colours from."""
        return (self.hair > SURE) & self.opaque

    @property
    def pure_skin(self) -> BoolArray:
        """(H, W) those of `sure_skin` that mix with nothing beside it."""
        return self.sure_skin & (self.purity > 0.9)


def portrait_appearance(portrait: Portrait, geometry: PhotoGeometry) -> tuple[Appearance, PartMaps]:
    """Matte, parts and clean colours of the portrait."""
    landmarks, unit, shape = portrait.detection.landmarks, portrait.unit, portrait.rgb.shape[:2]
    face = erode(face_oval(landmarks, shape), 4 * unit) & portrait.valid
    network = multiclass.segmenter()
    classes = None if network is None else network(portrait.rgb)
    person = (
        person_near_face(portrait.rgb, portrait.valid, landmarks[:, :2].mean(0), unit)
        if classes is None
        else 1 - classes[..., BACKGROUND]
    )
    mask = person_mask(person, portrait.valid, face, geometry.seen.covered, unit)
    outline = before_face(geometry)
    alpha, foreground = soft_matte(portrait.rgb, mask, portrait.valid, face, outline, unit)
    alpha = without_haze(alpha, portrait.chin_row, unit)
    on_head = color_model.worn_on_head(landmarks, shape)
    if classes is None:
        segment = color_model.segmenter(
            alpha, landmarks, geometry.template_map(), geometry.part_map(Part.BODY), outline
        )
        parts = parts_of(segment(portrait.rgb), on_head)
    else:
        parts = color_model.tidied(parts_of(classes, on_head), landmarks, alpha)
    parts = _without_chin_shadow(parts, geometry)
    solid = erode(alpha > OPAQUE, 2.2 * unit) & (alpha > OPAQUE)
    # strands before the far half: the skin behind them is not seen
    before_skin = bare_in_mirror(geometry, parts.hair > 0.5, unit) * parts.hair
    parts = replace(parts, skin=parts.skin + before_skin, hair=parts.hair - before_skin)
    parts = _edge_as_inside(parts, solid, dilate(outline, 3 * unit), geometry.part_map(Part.SKIN))
    # an estimate everywhere would soften the photo's own pixels
    clean = np.where((alpha > OPAQUE)[..., None], portrait.rgb / np.float32(255), foreground)
    sure_hair = (parts.hair > SURE) & solid
    hair_color = blur(fill_from(clean, sure_hair), 1.2) if sure_hair.sum() >= ENOUGH else clean
    pure = skin_purity(parts, before_skin, (alpha > 0.5) | ~portrait.valid, unit)
    openings = eye_openings(landmarks, shape) | mouth_opening(landmarks, shape)
    look = Appearance(
        clean,
        alpha,
        parts.skin,
        pure,
        parts.hair * (alpha > VISIBLE),
        parts.clothes * (alpha > VISIBLE),
        hair_color,
        openings,
        portrait.valid,
    )
    return look, parts


def skin_purity(
    parts: PartMaps, before_skin: Float32Array, person: BoolArray, unit: float
) -> Float32Array:
    """Purity (H, W) in [0, 1] of skin: 0 where a pixel mixes it with hair, clothes or background.

    Such pixels belong to neither: they must not be spread over the cheek. before_skin: (H, W) probability of hair before skin of
    the far half; person: (H, W); unit: pixels, eye distance / 115.
    """
    other = dilate((parts.hair + parts.clothes > 0.5) | ~person, 1.0)
    seam = np.clip(distance_to(other) / (_SEAM * unit), 0, 1)
    return ((1 - before_skin) * seam).astype(np.float32)


def _without_chin_shadow(parts: PartMaps, geometry: PhotoGeometry) -> PartMaps:
    """Reclassify dark skin on throat and chin from hair to skin."""
    throat = THROAT.contains(geometry.template_map())
    share = blur(throat, 2.0) * throat
    return replace(parts, skin=parts.skin + share * parts.hair, hair=parts.hair * (1 - share))


def _edge_as_inside(
    parts: PartMaps, solid: BoolArray, outline: BoolArray, skin: BoolArray
) -> PartMaps:
    """Give the mixed pixels of the face's `outline` (H, W) the class of the nearest `solid` ones (H, W).

    In front of a dark background they are as dark as hair. skin: (H, W) where the rig shows skin, the only candidates for the
    nearest.
    """
    if not (solid & skin).any():
        return parts
    _, rows, columns = nearest_true(solid)
    mixed = outline & ~solid & skin[rows, columns]
    return PartMaps(
        *(
            np.where(mixed, share[rows, columns], share)
            for share in (parts.skin, parts.hair, parts.clothes)
        )
    )
