"""An avatar learns attributes: from teachers to adapters of its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from offline.training.contract import Progress, TeacherAttribute, TrainingFrame
from offline.training.regression import RegressionConfig, hair_samples, mates_of, regress
from offline.training.rows import Rows, added_places, rows_of
from offline.training.shared import one_thread, with_decoder
from perse_live.attribute_file import MAX_ADDED, MAX_ATTRIBUTES, MAX_CHANGED, MAX_MOVED, as_stored
from perse_live.attributes import Attribute, LearnedAttribute, LearnedGaussians, Look
from perse_live.avatar import Avatar
from perse_live.decoder.features import into_binding
from perse_live.decoder.wearing import added_change, features_of_added
from perse_live.errors import UserError
from perse_live.regions import Region

_SETTLING = 4  # rounds; each leaves a tenth of what was left


@dataclass(frozen=True)
class FitConfig:
    """How an attribute is learnt."""

    regression: RegressionConfig = field(default_factory=RegressionConfig)


def fit_attribute(avatar: Avatar, teacher: TeacherAttribute, frames: Sequence[TrainingFrame], *, progress: Progress,
                  config: FitConfig | None = None) -> Avatar:
    """One `offline.training.contract.FitAttribute`."""
    config = config or FitConfig()
    look = teacher.look
    _check(avatar, teacher, frames)
    avatar = with_decoder(avatar)
    assert avatar.decoder is not None
    bare = replace(avatar, attributes=())
    rows = rows_of(bare, look)
    _, ends = added_places(bare, look)
    hair = torch.from_numpy((look.added.regions == Region.HAIR).astype(np.float32))[:, None]
    tint = hair_samples(bare, rows, look.ids) if teacher.tints_hair else None
    with one_thread():
        adapter, codes = regress(avatar.decoder, look.name, rows, mates=mates_of(avatar, look.name, look.slot), ends=ends, hair=hair,
                                 tint=tint, config=config.regression, told=lambda share: progress(look.label, share))
    learned = LearnedAttribute(look.name, look.label, look.slot, look.ids, codes[:rows.own], _at_start(look, codes[rows.own:]),
                               adapter, teacher.moves_own, teacher.tints_hair, look.vertex_ids, look.vertex_offsets)
    learned = settled(bare, look, as_stored(learned))
    progress(look.label, 1.0)
    return with_learned(avatar, learned)


def with_learned(avatar: Avatar, learned: LearnedAttribute) -> Avatar:
    """The avatar with an attribute more, or another one of the same name in its place. Raises UserError for want of room."""
    there = {one.name: one for one in avatar.attributes} | {learned.name: learned}
    every = tuple(there.values())
    check_room(every)
    return replace(avatar, attributes=every)


def check_room(every: Sequence[Look]) -> None:
    """Raises UserError where an avatar has no room for so many attributes."""
    limits = ((len(every), MAX_ATTRIBUTES, "attributes"),
              (sum(len(one.added) for one in every), MAX_ADDED, "Gaussians that they add"),
              (sum(len(one.ids) for one in every), MAX_CHANGED, "Gaussians that they change"),
              (sum(len(one.vertex_ids) for one in every), MAX_MOVED, "vertices that they move"))
    for count, most, what in limits:
        if count > most:
            raise UserError(f"no room for {count:,} {what}: an avatar may have {most:,}; remove some first")


def settled(avatar: Avatar, look: Attribute, learned: LearnedAttribute) -> LearnedAttribute:
    """What is added starts where it must so that it ends exactly as the teacher has it.

    The network is off by tenths of a millimetre at full weight, which strands and frames of glasses show; where they begin nobody
    sees. Starts are features, so that moving them changes what is decoded a little: hence a few rounds.
    """
    added = look.added
    assert avatar.decoder is not None
    split = len(added.surface.triangles)
    matrices = into_binding(avatar.rig, added.surface)
    for _ in range(_SETTLING if len(added) else 0):
        change = added_change(avatar.decoder, features_of_added(avatar.rig, learned), learned, [(learned, 1.0)])
        moved = (matrices @ change.places[:split, :, None])[:, :, 0]
        surface = replace(learned.added.surface, positions=added.surface.positions - moved,
                          axes=added.surface.axes / change.sizes[:split, None])
        rigid = replace(learned.added.rigid, means=added.rigid.means - change.places[split:],
                        scales=added.rigid.scales / change.sizes[split:, None])
        colors = np.clip(added.colors - change.colors, 0, 1)
        learned = as_stored(replace(learned, added=replace(learned.added, surface=surface, rigid=rigid, colors=colors)))
    return learned


def _at_start(look: Attribute, codes: np.ndarray) -> LearnedGaussians:
    """What is added, as the teacher has it at weight 0."""
    added, least = look.added, np.float32(look.added.least_size)
    surface = replace(added.surface, positions=added.surface_start, axes=added.surface.axes * least)
    rigid = replace(added.rigid, means=added.rigid_start, scales=added.rigid.scales * least)
    return LearnedGaussians(surface, rigid, added.colors, added.regions, codes)


def _check(avatar: Avatar, teacher: TeacherAttribute, frames: Sequence[TrainingFrame]) -> None:
    look = teacher.look
    if not teacher.known and not frames:
        raise UserError(f"attribute {look.name!r} is known from pictures only, and there are none")
    for ids, limit in ((look.ids, len(avatar)), (look.vertex_ids, len(avatar.rig.vertices)),
                       (look.added.surface.triangles, len(avatar.rig.triangles))):
        if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < limit):
            raise UserError(f"attribute {look.name!r} was made for another avatar: make it for this one")
    others: tuple[Look, ...] = tuple(one for one in avatar.attributes if one.name != look.name)
    if any(isinstance(one, Attribute) for one in others):
        raise ValueError("attributes that are not learned cannot stand beside one that is")
