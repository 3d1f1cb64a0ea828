"""Classes of an avatar's Gaussians."""

from __future__ import annotations

from enum import IntEnum


class Region(IntEnum):
    """Class of a Gaussian; attributes select by it what they change."""

    SKIN = 0
    LIPS = 1
    SCALP = 2
    EYE = 3
    TEETH = 4
    TONGUE = 5
    MOUTH = 6
    HAIR = 7
    HAIR_BACK = 8
    CLOTHES = 9
    BODY = 10
    LASHES = 11
    ACCESSORY = 12
