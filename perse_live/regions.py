"""What a Gaussian of an avatar shows."""

from __future__ import annotations

from enum import IntEnum


class Region(IntEnum):
    """What a Gaussian shows; attributes choose by it what they change."""

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
