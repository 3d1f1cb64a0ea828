"""Avatars and their attributes before anything is drawn: what there is to wear, and what is worn for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perse_live.avatar import Avatar
from perse_live.wardrobe import worn
from perse_live.weights import parse_weights
from runtime.tints import tints_of


def with_wardrobe(avatar: Avatar) -> Avatar:
    """The avatar with something to wear: its own attributes, or, where its file has none, tints of hair and eyes."""
    return avatar if avatar.attributes else replace(avatar, attributes=tints_of(avatar))


def dressed(avatar: Avatar, wishes: Sequence[str]) -> Avatar:
    """The avatar wearing attributes for good.

    wishes: such as "hair-copper=0.7", weights in [0, 1]. Raises UserError for one that is not understood or not there.
    """
    if not wishes:
        return avatar
    attributes = with_wardrobe(avatar).attributes
    weights = parse_weights(wishes, [one.name for one in attributes], "attribute")
    return replace(worn(avatar, attributes, weights), attributes=())
