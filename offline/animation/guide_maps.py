"""What is known of one rendered frame besides its colours: depth, normals, semantic classes and landmarks.

A guided video model takes these maps as conditions, as CHAMP does (Zhu et al., ECCV 2024); a data set keeps them beside each
frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from perse_live.arrays import Float32Array, UInt8Array


class SemanticClass(IntEnum):
    """What a pixel shows; the value is the pixel's in a semantic map."""

    BACKGROUND = 0
    SKIN = 1
    BODY = 2
    """Neck and shoulders where they are bare."""
    EYES = 3
    EYEBROWS = 4
    NOSE = 5
    MOUTH = 6
    """Lips."""
    MOUTH_INTERIOR = 7
    """Teeth, tongue and the cavity."""
    HAIR = 8
    BEARD = 9
    CLOTH = 10
    HAT = 11
    GLASSES = 12
    EARRINGS = 13
    HEADPHONES = 14
    OTHER = 15
    """An accessory of none of these kinds."""


@dataclass(frozen=True, eq=False)
class GuideMaps:
    """One frame of an avatar, and its maps; all of H x W pixels."""

    rgb: UInt8Array
    """(H, W, 3) sRGB, over the background that it was drawn on."""
    alpha: UInt8Array
    """(H, W) 0 to 255: how far a pixel is the person's."""
    depth: Float32Array
    """(H, W) metres along the camera's z; 0 where nothing is seen."""
    normals: Float32Array
    """(H, W, 3) of unit length, camera frame (OpenCV: a surface that faces the camera has z < 0); 0 where nothing is seen."""
    semantic: UInt8Array
    """(H, W) values of `SemanticClass`."""
    landmarks: Float32Array
    """(478, 3) of MediaPipe's landmarks: x and y in pixels (centres at +0.5), depth in metres along the camera's z."""
