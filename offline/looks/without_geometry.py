"""The built-in attributes that need no new geometry, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable

from offline.looks.face.eye_color import EYE_COLORS
from offline.looks.face.face_shapes import SHAPES
from offline.looks.face.lip_color import LIP_COLORS
from offline.looks.face.make_up import MAKE_UP
from offline.looks.hair.eyebrows import BROWS
from offline.looks.hair.hair_color import HAIR_COLORS
from offline.looks.skin.age import AGES
from offline.looks.skin.skin_tone import SKINS
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar

BUILT_IN: dict[str, Callable[[Avatar], Attribute]] = {
    **HAIR_COLORS,
    **EYE_COLORS,
    **BROWS,
    **LIP_COLORS,
    **MAKE_UP,
    **SKINS,
    **SHAPES,
    **AGES,
}
"""The maker of each, by name."""
