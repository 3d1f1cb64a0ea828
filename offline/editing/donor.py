"""A second photo (donor) with the same rig fitted to it, from which hair, beard, glasses or another part is taken."""

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
"""Called with the name of a step and the fraction done, [0, 1]."""

NOBODY = Consent("", "")
"""No avatar of the donor is stored."""
# Few steps: only a part of the donor's avatar is used
_CONFIG = BuildConfig(refine=RefineConfig(iterations=30))
_OF = [stage.run for stage in STAGES]
_FITTING, _LIFTING = (
    STAGES[: _OF.index(personalise_rig) + 1],
    STAGES[_OF.index(observe) : _OF.index(bind) + 1],
)


@dataclass(frozen=True, eq=False)
class Donor:
    """A photo and the builder's state for it before Gaussians are made."""

    state: BuildState
    """After the stage `personalise_rig`."""

    @property
    def photo(self) -> Photo:
        """The whole picture."""
        return self.state.photo

    @property
    def portrait(self) -> Portrait:
        """The portrait cut out of it."""
        return self.state.portrait

    @property
    def fit(self) -> PhotoFit:
        """The fit of the head to the portrait."""
        return self.state.fitted.head.fit

    @property
    def rig(self) -> HeadRig:
        """The personal rig, neutral, with the vertex numbering of every avatar."""
        return self.state.outlined.rig

    @property
    def landmarks(self) -> LandmarkBinding:
        """Landmarks bound to the rig."""
        return self.state.fitted.head.landmarks

    @property
    def geometry(self) -> PhotoGeometry:
        """The rig in the photo's pose and expression."""
        return self.state.outlined.geometry

    @property
    def look(self) -> Appearance:
        """Per-pixel appearance of the portrait."""
        return self.state.segmentation.look

    @property
    def parts(self) -> PartMaps:
        """Probabilities of skin, hair and clothes."""
        return self.state.segmentation.parts

    @property
    def charts(self) -> HeadCharts:
        """Regions of the rig."""
        return self.state.outlined.charts


def fit_donor(photo: Photo, *, progress: Progress) -> Donor:
    """Find the face in a photo, fit the rig to it and separate person, hair and clothes (2 s).

    Defects of the photo that will be visible are logged as warnings. Raises UserError where no face is found.
    """
    donor = Donor(
        run_stages(BuildState(BuildInputs(photo, NOBODY)), _FITTING, _CONFIG, progress=progress)
    )
    for warning in donor.portrait.warnings:
        _log.warning("%s: %s", photo.name, warning)
    return donor


def donor_avatar(donor: Donor, *, progress: Progress) -> Avatar:
    """The donor's avatar, from which parts with a volume, such as hair, are taken (3 s; 10 s more with refinement)."""
    fresh = replace(donor.state, rng=np.random.default_rng(_CONFIG.seed))
    return run_stages(fresh, _LIFTING, _CONFIG, progress=progress).avatar
