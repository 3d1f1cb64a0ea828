"""The parts that editors know, and their labels; importing them loads neither torch nor the makers."""

from __future__ import annotations

from collections.abc import Mapping

from perse_live.errors import UserError

PART_SLOTS: Mapping[str, str] = {
    "hair": "hair",
    "beard": "beard",
    "brows": "eyebrows",
    "glasses": "glasses",
    "hat": "hat",
    "makeup": "make-up",
    "eyes": "eyes",
}
"""The slot of each part that can be taken from a photo or described."""
PART_WORDS: Mapping[str, str] = {
    "hair": "Hair",
    "beard": "Beard",
    "brows": "Eyebrows",
    "glasses": "Glasses",
    "hat": "Hat",
    "makeup": "Make-up",
    "eyes": "Eyes",
}
"""For people."""


def require_part(part: str) -> str:
    """The part again; raises UserError for an unknown one."""
    if part not in PART_SLOTS:
        raise UserError(f"unknown part {part[:40]!r}: there are {', '.join(PART_SLOTS)}")
    return part
