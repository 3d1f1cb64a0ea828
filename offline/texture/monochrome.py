"""Monochrome photos: black-and-white ones, and toned ones such as sepia prints.

In such a photo the colour of a pixel follows from its lightness. What the builder paints from what it knows of people, such as a
tongue or gums, gets the photo's tones too, or it would be the only thing in colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.looks.photo_tones import lab_of, rgb_of
from offline.numeric import ramp
from offline.priors import ENOUGH
from perse_live.arrays import Float64Array, FloatArray

# Chroma (CIE L*a*b*) off the tones at which a photo has none, and all of its colours
_COLORLESS, _COLORED = (1.2, 3.0)


@dataclass(frozen=True, eq=False)
class Tones:
    """How the colours of a photo follow from their lightness, and how far they do."""

    share: float
    """[0, 1]: 1 where lightness determines the colour, 0 in a colour photo."""
    chroma: Float64Array
    """(3, 2) coefficients of a* and b* for (1, t, t**2) of t = L*."""

    def toned(self, colors: FloatArray) -> FloatArray:
        """Colours (N, 3), sRGB, as the photo would show them: of the same lightness, in its tones."""
        if self.share == 0 or not len(colors):
            return np.asarray(colors, np.float64)
        lab = lab_of(colors)
        lab[:, 1:] += self.share * (_powers(lab[:, 0]) @ self.chroma - lab[:, 1:])
        return rgb_of(lab)


def tones_of(pixels: FloatArray) -> Tones:
    """The tones of a photo. pixels: (N, 3) sRGB, of the person: skin, lips, hair. Too few tell nothing."""
    if len(pixels) < ENOUGH:
        return Tones(0.0, np.zeros((3, 2)))
    lab = lab_of(pixels)
    powers = _powers(lab[:, 0])
    chroma = np.asarray(np.linalg.lstsq(powers, lab[:, 1:], rcond=None)[0], np.float64)
    off = np.linalg.norm(lab[:, 1:] - powers @ chroma, axis=1)
    own = float(np.quantile(off, 0.9))  # lips are a small part of a person
    return Tones(float(1 - ramp(np.array(own), _COLORLESS, _COLORED)), chroma)


def _powers(lightness: FloatArray) -> Float64Array:
    return np.vander(np.asarray(lightness, np.float64), 3, increasing=True).astype(np.float64)
