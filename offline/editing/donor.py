"""A second photo, fitted with the same rig as the avatar: whose hair, beard or glasses are to be taken from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from offline.build_state import BuildConfig, BuildInputs, BuildState, Consent
from offline.pipeline import STAGES, bind, observe, personalise_rig, run_stages
from offline.portrait import Portrait
from offline.refine.photometric import RefineConfig
from offline.rig.anatomy import HeadCharts
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from offline.segment.contract import PartMaps
from perse_live.avatar import Avatar, LandmarkBinding
from perse_live.head.fit import PhotoFit
from perse_live.head.rig import HeadRig
from perse_live.photo import Photo

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
"""Told the name of a step and which fraction of it is done."""

NOBODY = Consent("", "")
"""Nobody's avatar is kept of a donor."""
# The last decibels are not worth waiting for: only a part is taken
_CONFIG = BuildConfig(refine=RefineConfig(iterations=30))
_OF = [stage.run for stage in STAGES]
_FITTING, _LIFTING = (
    STAGES[: _OF.index(personalise_rig) + 1],
    STAGES[_OF.index(observe) : _OF.index(bind) + 1],
)


@dataclass(frozen=True, eq=False)
class Donor:
    """A photo of somebody, and what the builder knows of it before anything is lifted."""

    state: BuildState
    """After the stage `personalise_rig`."""

    @property
    def photo(self) -> Photo:
        """The whole picture."""
        return self.state.photo

    @property
    def portrait(self) -> Portrait:
        """The face cut out."""
        return self.state.portrait

    @property
    def fit(self) -> PhotoFit:
        """Of the head to the portrait."""
        return self.state.fitted.head.fit

    @property
    def rig(self) -> HeadRig:
        """Personal, neutral; of the same numbering as every avatar's."""
        return self.state.outlined.rig

    @property
    def landmarks(self) -> LandmarkBinding:
        """Where landmarks lie on the rig."""
        return self.state.fitted.head.landmarks

    @property
    def geometry(self) -> PhotoGeometry:
        """The rig in the photo's pose and expression."""
        return self.state.outlined.geometry

    @property
    def look(self) -> Appearance:
        """The portrait's pixels."""
        return self.state.segmentation.look

    @property
    def parts(self) -> PartMaps:
        """The same as probabilities."""
        return self.state.segmentation.parts

    @property
    def charts(self) -> HeadCharts:
        """Regions of the rig."""
        return self.state.outlined.charts


def fit_donor(photo: Photo, *, progress: Progress) -> Donor:
    """Find the face in a photo, fit the rig to it and separate person, hair and clothes (2 s).

    What about the photo will show is logged as warnings. Raises UserError where no face is found.
    """
    donor = Donor(
        run_stages(BuildState(BuildInputs(photo, NOBODY)), _FITTING, _CONFIG, progress=progress)
    )
    for warning in donor.portrait.warnings:
        _log.warning("%s: %s", photo.name, warning)
    return donor


def donor_avatar(donor: Donor, *, progress: Progress) -> Avatar:
    """The donor's own avatar: what has a volume of its own, such as hair, is taken from it (3 s; 10 s more with refinement)."""
    fresh = replace(donor.state, rng=np.random.default_rng(_CONFIG.seed))
    return run_stages(fresh, _LIFTING, _CONFIG, progress=progress).avatar
