"""Giving an avatar attributes and taking them away; nothing of it is built anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from offline.looks.registry import builders
from offline.training.contract import Progress, TeacherAttribute
from offline.training.learning import FitConfig, fit_attribute
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.errors import UserError

ATTRIBUTES_STEP = "attributes"
"""What progress is told while looks are made and learnt."""
SECONDS_PER_LOOK = 4.0
"""A look takes about so long, two cores, sample portrait: for the time left."""
_HIDES = 0.1  # share of what a look changes that it makes invisible


def with_built_in(avatar: Avatar, names: Sequence[str], *, progress: Progress,
                  config: FitConfig | None = None) -> tuple[Avatar, list[str]]:
    """The avatar with built-in attributes, and what could not be made for it, one line each.

    names: as `registry.named` gives them. progress: told what is made and which fraction of it is done. Raises UserError where
    there is no room for all, or none could be made.
    """
    makers = builders() if names else {}
    bare = replace(avatar, attributes=())  # what an attribute changes is the avatar as it is without any
    complaints: list[str] = []
    for k, name in enumerate(names):
        progress(ATTRIBUTES_STEP, k / len(names))
        try:
            look = makers[name](bare)
        except UserError as error:
            complaints.append(f"no {name}: {error}")
            continue
        avatar = fit_attribute(avatar, taught(look), (), progress=_part(progress, k, len(names)), config=config)
    if names:
        progress(ATTRIBUTES_STEP, 1.0)
    if names and len(complaints) == len(names):
        raise UserError("; ".join(complaints))
    return avatar, complaints


def taught(look: Attribute) -> TeacherAttribute:
    """A built-in look as a teacher: colours of hair are meant for hair that others add as well; a shaved head is no colour."""
    hides = float((look.opacities == 0).mean()) > _HIDES if len(look.opacities) else False
    return TeacherAttribute(look, known=True, tints_hair=look.slot == "hair" and not len(look.added) and not hides)


def _part(progress: Progress, k: int, count: int) -> Progress:
    """For the k-th step of many."""
    return lambda _, share: progress(ATTRIBUTES_STEP, (k + share) / count)


def without(avatar: Avatar, names: Sequence[str]) -> Avatar:
    """The avatar without some of its attributes; raises UserError for one that it has not."""
    there = [one.name for one in avatar.attributes]
    for name in names:
        if name not in there:
            raise UserError(f"there is no attribute {name[:40]!r} to remove: there are {', '.join(there) or 'none'}")
    return replace(avatar, attributes=tuple(one for one in avatar.attributes if one.name not in names))
