"""What is known of a photo while it becomes an avatar: one group of fields for each stage of the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from offline.extra_views import ExtraView, SeenView
from offline.gaussian_layer import Layer
from offline.lift.covered_body import CoveredBody
from offline.likeness import Likeness
from offline.portrait import Portrait
from offline.refine.photometric import RefineConfig
from offline.rig.anatomy import HeadCharts
from offline.rig.personal import PersonalHead
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from offline.segment.contract import PartMaps
from offline.texture.observation import CompletedSkin, SkinObservation
from perse_live.arrays import BoolArray, Float32Array
from perse_live.avatar import Avatar
from perse_live.head.rig import HeadRig
from perse_live.photo import Photo


@dataclass(frozen=True)
class Consent:
    """Who agreed that this face is made into an avatar."""

    by: str
    """How and by whom it was confirmed."""
    at: str
    """ISO 8601, UTC."""


def _unheard(_share: float) -> None:
    pass


@dataclass(frozen=True)
class BuildConfig:
    """What shapes the result; the same for all stages."""

    refine: RefineConfig = field(default_factory=RefineConfig)
    """Bounds and weights of the photometric fit."""
    seed: int = 0
    """Of the random placement of Gaussians; the same photo and seed give the same avatar."""
    progress: Callable[[float], None] = _unheard
    """Called by a stage that takes seconds with the share of it that is done, [0, 1]."""


@dataclass(frozen=True)
class BuildInputs:
    """What the user gives."""

    photo: Path | Photo
    consent: Consent
    extra: Sequence[Photo] = ()
    """Further pictures of the same person."""


@dataclass(frozen=True, eq=False)
class FittedHead:
    """After `fit_head`: the personal rig at the photo's landmarks."""

    head: PersonalHead
    extra_views: Sequence[ExtraView]
    """The further pictures that can be used, fitted with the same identity."""
    warnings: tuple[str, ...]
    """About further pictures, for the user."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """After `segment`: which pixels are the person, and what of the person."""

    look: Appearance
    """Of the photo, without the folds that its expression draws."""
    parts: PartMaps
    folds: Float32Array
    """(H, W, 3) by how much these pixels were lightened."""


@dataclass(frozen=True, eq=False)
class OutlinedHead:
    """After `personalise_rig`: the rig whose outline is the person's, in the portrait and in further pictures."""

    rig: HeadRig
    geometry: PhotoGeometry
    charts: HeadCharts
    views: Sequence[SeenView]


@dataclass(frozen=True, eq=False)
class Observation:
    """After `observe`: what covers the rig in the photo, and what the photo says of each point of the skin."""

    look: Appearance
    """The portrait's pixels without earrings, and pieces that are no hair."""
    hair: BoolArray
    """(H, W) mask of hair that is built as a separate volume."""
    earrings: Float32Array
    """(H, W) metres, camera frame: depth of what hangs from the lobes; infinite elsewhere."""
    dressed: BoolArray
    """(H, W) clothes in front of the skin."""
    covered: CoveredBody
    """The body behind hair that hangs over it."""
    clothes_barely_shown: bool
    """Too little of the clothes is in the photo to show any of them."""
    sheet_depth: Float32Array
    """(H, W) metres, camera frame: of clothes, and of skin beyond the rig."""
    skin_look: Appearance
    """The same with clean lips."""
    skin: SkinObservation

    @property
    def bald(self) -> bool:
        """Whether the photo shows no hair of the head."""
        return not self.hair.any()


class _NotYet:
    """Stands for a group of fields whose stage has not run."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # such as copy and pickle ask for before there is a stage
            raise AttributeError(name)
        raise AttributeError(f"{name} is known only after the stage {self._stage!r}")


def _after(stage: str) -> Any:
    return _NotYet(stage)


@dataclass(frozen=True, eq=False)
class BuildState:
    """The state of a build. A stage reads the groups of fields of earlier stages and fills one group."""

    inputs: BuildInputs
    photo: Photo = field(default=_after("load"), repr=False)
    portrait: Portrait = field(default=_after("detect"), repr=False)
    fitted: FittedHead = field(default=_after("fit_head"), repr=False)
    segmentation: Segmentation = field(default=_after("segment"), repr=False)
    outlined: OutlinedHead = field(default=_after("personalise_rig"), repr=False)
    observation: Observation = field(default=_after("observe"), repr=False)
    completed: CompletedSkin = field(default=_after("complete"), repr=False)
    lifted: Layer = field(default=_after("lift"), repr=False)
    refined: Layer = field(default=_after("refine"), repr=False)
    avatar: Avatar = field(default=_after("bind"), repr=False)
    likeness: Likeness = field(default=_after("evaluate"), repr=False)
    rng: np.random.Generator = field(default_factory=np.random.default_rng, repr=False)
    """What places Gaussians draw from, one stage after the other."""
