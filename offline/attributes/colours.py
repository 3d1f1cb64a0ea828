"""The built-in attributes that need no new geometry, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable

from offline.attributes.age import AGES
from offline.attributes.brows import BROWS
from offline.attributes.eye_color import EYE_COLORS
from offline.attributes.hair_color import HAIR_COLORS
from offline.attributes.lip_color import LIP_COLORS
from offline.attributes.make_up import MAKE_UP
from offline.attributes.shapes import SHAPES
from offline.attributes.skin_tone import SKINS
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar

BUILT_IN: dict[str, Callable[[Avatar], Attribute]] = {
    **HAIR_COLORS, **EYE_COLORS, **BROWS, **LIP_COLORS, **MAKE_UP, **SKINS, **SHAPES, **AGES}
"""What makes each of them, by name."""
