"""What the photo and the further views show of the skin, and the colours of all its points completed from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offline.images import distance_to, sample
from offline.numeric import ramp
from offline.rig.anatomy import HeadCharts
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment.appearance import Appearance
from offline.texture.confidence import photo_confidence, registration, uncovered
from offline.texture.point_labels import (
    hair_share_of_points,
    points_behind_hair,
    points_round_the_side,
    scalp_points,
)
from offline.texture.skin_colors import scalp_colors, skin_colors, with_further_views
from offline.texture.skin_points import SkinPoints, skin_points, spread_points
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.fit import FrameFit

_WELL_INSIDE = 7.0  # pixels (eye distance 115) from the hair's edge


@dataclass(frozen=True, eq=False)
class SkinObservation:
    """N points of the skin, and what the photo alone says of them."""

    points: SkinPoints
    confidence: FloatArray
    """(N,) in [0, 1]: confidence that the photo's colour is that of the point."""
    scalp: BoolArray
    """(N,) grows hair, or lies where hair would be seen."""
    lip_edges: Float32Array
    """(N,) in [0, 1]: at an open mouth, where lips keep their colour whatever the photo shows."""


@dataclass(frozen=True, eq=False)
class CompletedSkin:
    """Colours for all N points of an observation."""

    colors: FloatArray
    """(N, 3) sRGB."""
    confidence: FloatArray
    """(N,) in [0, 1]: how well the photo shows each; further views do not count."""


def observe_skin(
    geometry: PhotoGeometry,
    look: Appearance,
    charts: HeadCharts,
    dressed: BoolArray,  # (H, W) clothes in front of the skin
    frame: FrameFit,  # of the photo
    landmarks: FloatArray,  # (478, 2+) pixels
    *,
    bald: bool,  # leave the scalp skin-coloured
    unit: float,  # pixels, eye distance / 115
    rng: np.random.Generator,
) -> SkinObservation:
    """Spread points over skin and scalp, and read the photo at each that the camera sees."""
    under_hair = distance_to((look.hair < 0.5) | ~look.opaque) > _WELL_INSIDE * unit
    spread = spread_points(geometry, charts, frame.expression, frame.gaze, under_hair, rng)
    points = skin_points(geometry, look, charts, spread, unit)
    confidence = photo_confidence(points, look) * uncovered(dressed, points.pixels)
    confidence = confidence * registration(geometry, landmarks, points.rest, unit)
    lip_edges = (
        np.zeros(len(points.on), np.float32)
        if look.lip_edges is None
        else sample(look.lip_edges, points.pixels)
    )
    # What lies around the mouth's corners
    confidence = confidence * (1 - lip_edges * (1 - ramp(points.lips, 0.05, 0.3)))
    hairy = np.zeros(len(points.on), np.bool_) if bald else scalp_points(points, look, geometry.yaw)
    hidden = (
        np.zeros_like(hairy) if bald else points_behind_hair(points) | points_round_the_side(points)
    )
    scalp = hairy | (hidden & (confidence < 0.5))
    return SkinObservation(points, np.where(scalp, 0, confidence), scalp, lip_edges)


def complete_skin(
    observation: SkinObservation,
    geometry: PhotoGeometry,
    look: Appearance,
    charts: HeadCharts,
    *,
    unit: float,  # pixels, eye distance / 115
    views: Sequence[tuple[PhotoGeometry, Appearance]],  # further pictures of the same person
    rng: np.random.Generator,
) -> CompletedSkin:
    """Colours for every point: the photo's, those of further views, and what follows from them for the rest."""
    points, confidence, scalp = observation.points, observation.confidence, observation.scalp
    viewed, believed = (
        with_further_views(points, confidence, charts, views, unit)
        if views
        else (points, confidence)
    )
    believed = np.where(scalp, 0, believed)
    hairiness = hair_share_of_points(points, scalp)[:, None]
    colors = hairiness * scalp_colors(points, look) + (1 - hairiness) * skin_colors(
        geometry, viewed, believed, rng
    )
    return CompletedSkin(colors, confidence)
