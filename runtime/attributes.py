"""Preparation of an avatar's attributes before drawing: default tints, and fixed weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perse_live.attribute_blending import with_attributes
from perse_live.avatar import Avatar
from perse_live.weights import parse_weights
from runtime.tints import tints_of


def with_default_attributes(avatar: Avatar) -> Avatar:
    """The avatar with its attributes, or, where its file has none, with tints of hair and eyes."""
    return avatar if avatar.attributes else replace(avatar, attributes=tints_of(avatar))


def with_fixed_attributes(avatar: Avatar, wishes: Sequence[str]) -> Avatar:
    """The avatar with attributes at fixed weights, as its base.

    wishes: such as "hair-copper=0.7", weights in [0, 1]. Raises UserError for an invalid or unknown one.
    """
    if not wishes:
        return avatar
    attributes = with_default_attributes(avatar).attributes
    weights = parse_weights(wishes, [one.name for one in attributes], "attribute")
    return replace(with_attributes(avatar, attributes, weights), attributes=())
