"""PERSE's categories of edited parts, and which animator it chose for each (CVPR 2025, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping

CATEGORIES = (
    "hair",
    "hat",
    "mouth",
    "nose",
    "beard",
    "earrings",
    "headphones",
    "eyebrows",
    "cloth",
    "glasses",
)
"""PERSE's nine, and glasses, which it does not have."""
_OF_SLOT: Mapping[str, str] = {name: name for name in CATEGORIES}
_KEEP_OUTLINE = frozenset({"cloth", "eyebrows", "mouth", "nose"})


def category_of(slot: str) -> str | None:
    """The category of an attribute's slot; None for what PERSE does not edit, such as the colour of eyes or the face's shape."""
    return _OF_SLOT.get(slot)


def keeps_outline(category: str | None) -> bool:
    """Whether PERSE animates a category by LivePortrait, which stretches what is voluminous."""
    return category in _KEEP_OUTLINE
