"""Further pictures of the same person: observations of points that the portrait does not show well.

All pictures share one identity shape; pose, expression, matte and parts are those of each picture. The portrait has priority:
where it shows a point well, the others are not used.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from offline.gaussian_layer import Layer, empty_layer
from offline.lift.mouth import photographed_teeth
from offline.portrait import Portrait, find_portrait
from offline.priors import ENOUGH
from offline.rig.neutral_expression import near_lips, relaxation
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import mouth_opening
from offline.texture.mouth_retouch import PARTED, lip_gap
from perse_live.arrays import FloatArray
from perse_live.avatar import LandmarkBinding
from perse_live.errors import UserError
from perse_live.head import landmarks as lm
from perse_live.head.fit import PhotoFit, fit_identity, fit_photo
from perse_live.head.landmarks import LandmarkModel, load_landmark_model, mesh_landmarks
from perse_live.head.rig import Part, expressed, vertices_of
from perse_live.photo import Photo
from perse_live.rotations import multiply, to_quat

_log = logging.getLogger(__name__)

MAX_VIEWS = 6
"""Further pictures that are used; more cost time and bring little."""
DOUBTFUL, MOST_UNLIKENESS = 0.0016, 0.0022
"""Metres (RMS) between the head shapes of two pictures: thresholds of a warning, and of exclusion as another person.
66 pairs of one person's pictures: 1.0 mm in the middle, 1.75 at most; 238 pairs of two people: 71 % above 1.6, 39 % above 2.2.
Grimaces reach 2.0, so only a warning can be given below 2.2, and a stranger may pass."""


@dataclass(frozen=True, eq=False)
class ExtraView:
    """A further picture, cut out and fitted with the identity that all pictures share."""

    name: str
    portrait: Portrait
    fit: PhotoFit


@dataclass(frozen=True, eq=False)
class SeenView:
    """A further picture with the personal head in it."""

    view: ExtraView
    geometry: PhotoGeometry
    look: Appearance


def fit_views(
    portrait: Portrait, pictures: Sequence[Photo], model: LandmarkModel
) -> tuple[PhotoFit, list[ExtraView], list[str]]:
    """Fit one identity to the portrait and to further pictures.

    Pictures without a face, or of somebody else, are left out. Returns the portrait's fit, the views, and a warning for each
    picture left out. Raises UserError where none of the pictures can be used.
    """
    alone = fit_photo(portrait.detection, portrait.camera, model)
    if not pictures:
        return alone, [], []
    warnings: list[str] = []
    found: list[tuple[str, Portrait]] = []
    for picture in pictures:
        try:
            other = find_portrait(picture)
        except UserError as error:
            warnings.append(f"left out: {error}")
            continue
        apart = unlikeness(alone, fit_photo(other.detection, other.camera, model))
        millimetres = f"{1000 * apart:.1f} mm"
        _log.info("%s: head shape %s from the portrait's", picture.name, millimetres)
        if apart > MOST_UNLIKENESS:
            warnings.append(
                f"left out: {picture.name} seems to show somebody else ({millimetres} apart in head shape);"
                " give pictures of the same person"
            )
            continue
        if apart > DOUBTFUL:
            warnings.append(
                f"{picture.name} may show somebody else (head shape {millimetres} apart); used all the same"
            )
        found.append((picture.name, other))
    if not found:
        raise UserError(
            f"none of the {len(pictures)} further pictures can be used: {warnings[0].removeprefix('left out: ')}"
        )
    fits = fit_identity(
        [portrait.detection, *(other.detection for _, other in found)], portrait.camera, model
    )
    views = [
        ExtraView(name, other, fit) for (name, other), fit in zip(found, fits[1:], strict=True)
    ]
    return fits[0], views, warnings


def unlikeness(first: PhotoFit, second: PhotoFit) -> float:
    """How far two pictures' head shapes are apart after the best move, turn and resizing, metres (RMS, without the outline)."""
    inner = np.ones(lm.LANDMARK_COUNT, np.bool_)
    inner[[*lm.FACE_OVAL, *lm.IRIS]] = False
    a, b = (fit.shape.neutral_landmarks[inner].astype(np.float64) for fit in (first, second))
    return float(np.sqrt(procrustes(b, a)[2] * b.var(0).sum()))


def view_geometry(
    view: ExtraView, geometry: PhotoGeometry, fit: PhotoFit, binding: LandmarkBinding
) -> PhotoGeometry:
    """The portrait's personal head in a further picture's pose and expression, before that picture's camera.

    geometry, fit, binding: the portrait's, the fit as of its `PersonalHead`. Around the mouth landmarks go to where the picture's
    own fit has them; elsewhere the picture's residual takes the place of the portrait's, which the personal head contains.
    """
    rig, frame, model = geometry.rig, view.fit.frame, load_landmark_model()
    vertices = expressed(rig, frame.expression, gaze=frame.gaze).copy()
    neutral = view.fit.shape.neutral_landmarks
    fitted = neutral + np.tensordot(frame.expression, model.actions, 1) + frame.residual
    contained = fit.frame.residual + relaxation(fit).under(frame.expression)
    mouth = near_lips(neutral.astype(np.float64))[:, None]
    offsets = mouth * (fitted - mesh_landmarks(model, vertices)) + (1 - mouth) * (
        frame.residual - contained
    )
    vertices[binding.spread_ids] += binding.spread.astype(np.float32) @ offsets.astype(np.float32)
    return photo_geometry(
        view.portrait.camera, rig, vertices, frame.R_cam_head, frame.t_cam_head, geometry.template
    )


def borrowed_teeth(
    geometry: PhotoGeometry, portrait: Portrait, views: Sequence[SeenView], rng: np.random.Generator
) -> Layer:
    """The teeth of the further picture that shows most of them, where they are in the portrait's pose.

    Empty where no picture shows teeth, or the portrait does.
    """
    best, source = empty_layer(), geometry
    if _mouth_is_open(portrait):
        return best
    for seen in views:
        if _mouth_is_open(seen.view.portrait):
            opening = mouth_opening(seen.view.portrait.detection.landmarks, seen.look.alpha.shape)
            layer = photographed_teeth(seen.geometry, seen.look, opening, rng)
            if len(layer) > len(best):
                best, source = layer, seen.geometry
    return _carried(best, source, geometry) if len(best) >= ENOUGH else empty_layer()


def _mouth_is_open(portrait: Portrait) -> bool:
    return lip_gap(portrait.detection.landmarks) > PARTED * portrait.unit


def _carried(layer: Layer, source: PhotoGeometry, target: PhotoGeometry) -> Layer:
    """Teeth from one pose into another: lower ones go with the jaw, upper ones with the skull."""
    lower = layer.triangles >= 0
    means, quats = (
        layer.gaussians.means.astype(np.float64),
        layer.gaussians.quats.astype(np.float64),
    )
    for chosen, part in ((lower, Part.TEETH_LOWER), (~lower, Part.TEETH_UPPER)):
        row = vertices_of(target.rig, part)
        turn, shift = _rigid(source.vertices[row], target.vertices[row])
        means[chosen] = means[chosen] @ turn.T + shift
        quats[chosen] = multiply(np.broadcast_to(to_quat(turn), quats[chosen].shape), quats[chosen])
    moved = replace(layer.gaussians, means=means.astype(np.float32), quats=quats.astype(np.float32))
    frozen = np.zeros(len(layer), np.float32)  # the portrait does not show them
    return replace(layer, gaussians=moved, freedom=frozen, color_freedom=frozen)


def _rigid(start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rigid motion of points (N, 3) onto others (Kabsch 1976): end = start @ R.T + t."""
    a, b = start.mean(0, np.float64), end.mean(0, np.float64)
    turn = Rotation.align_vectors(end - b, start - a)[0].as_matrix()
    return turn, b - turn @ a
