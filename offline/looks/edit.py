"""Add attributes to an avatar and remove them, without rebuilding it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock

from offline.looks.registry import ATTRIBUTES_STEP, TITLES, builders
from offline.training.base_decoder import one_thread, with_decoder
from offline.training.contract import Progress, TeacherAttribute
from offline.training.learning import FitConfig, fit_attribute, with_learned
from perse_live.attributes import Attribute, LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.errors import UserError

_HIDES = 0.1  # fraction of the changed Gaussians that a look hides


def with_built_in(
    avatar: Avatar,
    names: Sequence[str],
    *,
    progress: Progress,
    config: FitConfig | None = None,
    learnt: Callable[[str, Avatar], None] | None = None,
) -> tuple[Avatar, list[str]]:
    """The avatar with built-in attributes, and one line for each that could not be made.

    names: from `registry.named`. progress: called with the fraction done. learnt: called with the name of each attribute when it
    is learned, and the avatar with it and those before it, one at a time. Slots are learned in parallel, one per core, with the
    same result as in sequence: an attribute depends on those of the same slot only.
    Raises UserError where there is no room for all, or none could be made.
    """
    if not names:
        return avatar, []
    makers, shares = builders(), _Shares(progress, names)
    # Attributes are relative to the avatar without attributes
    bare = replace(with_decoder(avatar), attributes=())
    slots: dict[str, list[str]] = {}
    for name in names:
        slots.setdefault(TITLES[name][1], []).append(name)

    so_far, keeping = replace(avatar, decoder=bare.decoder), Lock()

    def keep(one: LearnedAttribute) -> None:
        nonlocal so_far
        with keeping:
            so_far = with_learned(so_far, one)
            if learnt is not None:
                learnt(one.name, so_far)

    def learn(slot: str) -> dict[str, LearnedAttribute | str]:
        made: dict[str, LearnedAttribute | str] = {}
        mine = replace(bare, attributes=tuple(one for one in avatar.attributes if one.slot == slot))
        for name in slots[slot]:
            try:
                look = makers[name](bare)
            except UserError as error:
                made[name] = f"no {name}: {error}"
            else:
                mine = fit_attribute(
                    mine, taught(look), (), progress=shares.of(name), config=config
                )
                one = next(
                    one
                    for one in mine.attributes
                    if one.name == name and isinstance(one, LearnedAttribute)
                )
                made[name] = one
                keep(one)
            shares.tell(name, 1.0)
        return made

    progress(ATTRIBUTES_STEP, 0.0)
    longest_first = sorted(slots, key=lambda slot: -len(slots[slot]))
    with one_thread(), ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="looks") as pool:
        jobs = [pool.submit(learn, slot) for slot in longest_first]
        try:
            made = {name: one for job in jobs for name, one in job.result().items()}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    avatar = replace(avatar, decoder=bare.decoder)
    complaints: list[str] = []
    for name in names:
        if isinstance(one := made[name], str):
            complaints.append(one)
        else:
            avatar = with_learned(avatar, one)
    if len(complaints) == len(names):
        raise UserError("; ".join(complaints))
    return avatar, complaints


class _Shares:
    """Progress of each attribute, reported as the fraction of all; thread-safe."""

    def __init__(self, progress: Progress, names: Sequence[str]) -> None:
        self._progress, self._done = progress, dict.fromkeys(names, 0.0)
        self._lock = Lock()

    def of(self, name: str) -> Progress:
        """The progress callback of one attribute."""
        return lambda _, share: self.tell(name, share)

    def tell(self, name: str, share: float) -> None:
        with self._lock:
            self._done[name] = share
            self._progress(ATTRIBUTES_STEP, sum(self._done.values()) / len(self._done))


def taught(look: Attribute) -> TeacherAttribute:
    """A built-in look as a teacher. Hair colours also tint hair that other attributes add; a shaved head is no hair colour."""
    hides = float((look.opacities == 0).mean()) > _HIDES if len(look.opacities) else False
    return TeacherAttribute(
        look, known=True, tints_hair=look.slot == "hair" and not len(look.added) and not hides
    )


def without(avatar: Avatar, names: Sequence[str]) -> Avatar:
    """The avatar without some of its attributes; raises UserError for an unknown name."""
    there = [one.name for one in avatar.attributes]
    for name in names:
        if name not in there:
            raise UserError(
                f"there is no attribute {name[:40]!r} to remove: there are {', '.join(there) or 'none'}"
            )
    return replace(
        avatar, attributes=tuple(one for one in avatar.attributes if one.name not in names)
    )
