"""Transfer of light and colour cast from one photo to another, estimated from the faces' skin in both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.editing.head_warp import Observed
from offline.numeric import ramp
from perse_live.arrays import BoolArray, FloatArray
from perse_live.srgb import to_linear, to_srgb

LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""
_LEAST, _MOST = 0.45, 2.2  # of a gain
_LIGHTNESS = 0.5  # fraction of the skins' difference in lightness attributed to light; the rest is the two people's complexion
_GREENER = 0.2
"""Fraction of a tint from green to magenta that is kept: lights differ from blue to yellow (daylight, lamps), hardly across. What
the few pixels of the eyes' whites differ across is blood or a shadow, and would turn blond hair olive."""
_HUE = 0.7  # fraction of the hue of the eyes' whites, which light tints; hues of skin differ between people


@dataclass(frozen=True, eq=False)
class LightMatch:
    """Maps colours of the donor's photo to the avatar's."""

    gain: FloatArray
    """(3,) of linear light, for things that are not skin."""
    donor_skin: FloatArray
    """(3,) sRGB, the donor's face."""
    own_skin: FloatArray
    """(3,) sRGB, the avatar's."""

    def things(self, colors: FloatArray) -> FloatArray:
        """Colours (N, 3) of hair or objects under the avatar's light."""
        return to_srgb(to_linear(colors) * self.gain)


def match_light(
    seen: Observed, own_colors: FloatArray, plain: BoolArray, whites: tuple[FloatArray, FloatArray]
) -> LightMatch:
    """Compare the two faces: lightness by skin, point by point, hue by the whites of the eyes.

    own_colors: (N, 3) of the avatar at the same points; plain: (N,); whites: (3,) sRGB, the donor's and the avatar's.
    """
    weight = plain & (seen.confidence > 0.6)
    if weight.sum() < 50:
        weight = seen.confidence >= np.percentile(seen.confidence, 90)
    donor, own = (
        np.median(colors[weight], 0).astype(np.float64) for colors in (seen.colors, own_colors)
    )
    lightness = float((to_linear(own) + 1e-3) @ LUMA / ((to_linear(donor) + 1e-3) @ LUMA))
    tint = (to_linear(whites[1]) + 1e-3) / (to_linear(whites[0]) + 1e-3)
    hue = along_daylight(tint)
    hue = np.clip(hue / float(hue @ LUMA), 0.75, 1.33)
    return LightMatch(np.clip(lightness**_LIGHTNESS * hue**_HUE, _LEAST, _MOST), donor, own)


def along_daylight(tint: FloatArray) -> FloatArray:
    """A tint (3,) of linear light with less of what makes it greener or more magenta."""
    across = np.array([-0.5, 1.0, -0.5])
    green = float(np.log(tint) @ across) / float(across @ across)
    return np.exp(np.log(tint) - (1 - _GREENER) * green * across)


def white_of(colors: FloatArray) -> FloatArray:
    """The white (3,) of eyes from the colours (N, 3) between the lids: the brighter third of them without reflections."""
    if len(colors) < 20:
        return np.full(3, 0.75)
    luma = colors @ LUMA
    low, high = np.percentile(luma, [65, 97])
    return np.median(colors[(luma >= low) & (luma <= high)], 0).astype(np.float64)


def natural_hair(colors: FloatArray) -> FloatArray:
    """Colours (N, 3) of hair without the cast of walls and sky: never greener than red, nor bluer than green.

    Dyed hair, whose colours are far from grey, keeps them.
    """
    plain = np.minimum.accumulate(colors, axis=1)
    plain = plain * ((colors @ LUMA + 1e-3) / (plain @ LUMA + 1e-3))[:, None]
    vivid = (
        ramp(np.ptp(np.median(colors, 0)) * np.ones(len(colors)), 0.18, 0.30)[:, None]
        if len(colors)
        else 0.0
    )
    return np.clip(plain + vivid * (colors - plain), 0, 1)


def darkness(colors: FloatArray, skin: FloatArray, hair: FloatArray) -> FloatArray:
    """Position (N,) of colours (N, 3) between the local skin (N, 3) or (3,) and hair (3,): 0 is skin, 1 hair."""
    way = hair - skin
    share = ((colors - skin) * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-4)
    return ramp(share, 0.12, 0.75)
