"""Giving an avatar attributes and taking them away; nothing of it is built anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from offline.attributes.registry import builders
from perse_live.attribute_file import MAX_ADDED, MAX_ATTRIBUTES, MAX_CHANGED, MAX_MOVED
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.errors import UserError


def with_built_in(avatar: Avatar, names: Sequence[str], *, progress: Callable[[str, float], None]) -> tuple[Avatar, list[str]]:
    """The avatar with built-in attributes, and what could not be made for it, one line each.

    names: as `registry.named` gives them. progress: told what is made and which fraction of it is done. Raises UserError where
    there is no room for all, or none could be made.
    """
    makers = builders() if names else {}
    bare = replace(avatar, attributes=())  # what an attribute changes is the avatar as it is without any
    made: list[Attribute] = []
    complaints: list[str] = []
    for k, name in enumerate(names):
        progress("attributes", k / len(names))
        try:
            made.append(makers[name](bare))
        except UserError as error:
            complaints.append(f"no {name}: {error}")
    if names:
        progress("attributes", 1.0)
    if names and not made:
        raise UserError("; ".join(complaints))
    return with_attributes(avatar, made), complaints


def with_attributes(avatar: Avatar, attributes: Sequence[Attribute]) -> Avatar:
    """The avatar with more attributes; those of a name that is there already take its place.

    Raises UserError where there is no room for them.
    """
    together = {one.name: one for one in avatar.attributes} | {one.name: one for one in attributes}
    every = tuple(together.values())
    limits = ((len(every), MAX_ATTRIBUTES, "attributes"),
              (sum(len(one.added) for one in every), MAX_ADDED, "Gaussians that they add"),
              (sum(len(one.ids) for one in every), MAX_CHANGED, "Gaussians that they change"),
              (sum(len(one.vertex_ids) for one in every), MAX_MOVED, "vertices that they move"))
    for count, most, what in limits:
        if count > most:
            raise UserError(f"no room for {count:,} {what}: an avatar may have {most:,}; remove some first")
    return replace(avatar, attributes=every)


def without(avatar: Avatar, names: Sequence[str]) -> Avatar:
    """The avatar without some of its attributes; raises UserError for one that it has not."""
    there = [one.name for one in avatar.attributes]
    for name in names:
        if name not in there:
            raise UserError(f"there is no attribute {name[:40]!r} to remove: there are {', '.join(there) or 'none'}")
    return replace(avatar, attributes=tuple(one for one in avatar.attributes if one.name not in names))
