"""Detail of hair: fine strands where the head is turned, over those seen from the front."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.evaluation.portraits.views import View, share_of
from perse_live.regions import Region

_FINE = (
    2.0  # pixels (eye distance 84): standard deviation below which detail is strands, about 1.5 mm
)
_ALL = 0.95  # share of a pixel from which it is of hair only
_EDGE = 9  # pixels, side of the square by which the hair's mask is eroded
_FEWEST = 300  # pixels of hair in each view
_NOISE = 0.03  # luminance that is added to that of the surroundings, so that noise in black hair is no strands
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def hair_detail(avatar: Avatar, front: View, turned: Sequence[View]) -> float | None:
    """How near the detail of hair in turned views comes to that in the front view, in (0, 1]; None where there is little hair.

    Detail is the mean square of the luminance's relative deviation from its surroundings (Gaussian of 2 pixels) over pixels of
    hair. The result is the smaller over the larger of the front view's and the turned views' mean.
    """
    straight, *others = (_energy(avatar, one) for one in (front, *turned))
    known = [one for one in others if one is not None]
    if straight is None or not known:
        return None
    mean = float(np.mean(known))
    return min(mean, straight) / max(mean, straight, 1e-12)


def _energy(avatar: Avatar, seen: View) -> float | None:
    hair = share_of(avatar, seen, Region.HAIR, Region.HAIR_BACK)
    mask = cv2.erode((hair > _ALL).astype(np.uint8), np.ones((_EDGE, _EDGE), np.uint8)) > 0
    if mask.sum() < _FEWEST:
        return None
    light, weight = seen.color @ _LUMA, (hair > _ALL).astype(np.float32)
    around = _blurred(light * weight) / np.maximum(_blurred(weight), 1e-3)
    deviation = (light - around) / (around + _NOISE)
    return float(np.square(deviation[mask].astype(np.float64)).mean())


def _blurred(image: FloatArray) -> Float32Array:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), _FINE), np.float32)
