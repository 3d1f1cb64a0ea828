"""Fit attributes of an avatar: from teachers to adapters of its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from offline.looks.hair.hairstyle import scalp_of
from offline.looks.hair.hairstyle_way import hairstyle_way
from offline.looks.look_motion import with_look_motion
from offline.training.base_decoder import one_thread, with_decoder
from offline.training.contract import Progress, TeacherAttribute, TrainingFrame
from offline.training.fit_to_pictures import LiftConfig, lifted
from offline.training.gaussian_rows import added_places, begin_of, rows_of
from offline.training.kept_hues import with_kept_hues
from offline.training.pace import with_even_pace
from offline.training.pairs import pairs_of
from offline.training.rasterizers import Device, drawing_on
from offline.training.regression import RegressionConfig, hair_samples, regress
from offline.training.shots import shots_along, shots_of, views_of
from perse_live.arrays import BoolArray, Float32Array
from perse_live.attribute_file import MAX_ADDED, MAX_ATTRIBUTES, MAX_CHANGED, MAX_MOVED, as_stored
from perse_live.attributes import Attribute, LearnedAttribute, LearnedGaussians, Look
from perse_live.avatar import Avatar
from perse_live.correctives import LookCorrectives, kept_by, no_deltas
from perse_live.decoder.attribute_change import added_change, features_of_added
from perse_live.decoder.features import into_binding, places_at_rest
from perse_live.errors import UserError
from perse_live.regions import Region

# Rounds of `settled`, and the fraction of the error that each corrects
_ROUNDS, _STEP = (8, 0.7)
_MUCH = 1e-3  # metres of displacement that weigh as much as one unit of colour


@dataclass(frozen=True)
class FitConfig:
    """How an attribute is fitted."""

    regression: RegressionConfig = field(default_factory=RegressionConfig)
    lift: LiftConfig = field(default_factory=LiftConfig)
    device: Device = "auto"
    """Where training pictures are rendered."""


def fit_attribute(
    avatar: Avatar,
    teacher: TeacherAttribute,
    frames: Sequence[TrainingFrame],
    *,
    progress: Progress,
    config: FitConfig | None = None,
) -> Avatar:
    """Implements `offline.training.contract.FitAttribute`."""
    config = config or FitConfig()
    look = teacher.look
    _check(avatar, teacher, frames)
    avatar = with_decoder(avatar)
    assert avatar.decoder is not None
    bare = replace(avatar, attributes=())
    drawing = drawing_on(config.device)
    way = (
        hairstyle_way(bare, look, scalp_of(bare)) if look.slot == "hair" and teacher.known else None
    )
    begun = look if way is None else way.begun(look)
    rows = rows_of(bare, begun, way)
    shots = shots_of(bare, begun, frames, drawing) if teacher.known else []
    with one_thread():
        if not teacher.known:
            look, rows, shots = lifted(
                bare,
                look,
                frames,
                drawing,
                moves_base=teacher.moves_base,
                config=config.lift,
                told=lambda share: progress(look.label, 0.5 * share),
            )
        elif not shots and len(rows) and config.regression.drawn_steps:
            shots = shots_along(rows, views_of(bare, begun, drawing))
        done = 0.0 if teacher.known else 0.5
        _, ends = added_places(bare, look)
        hair = torch.from_numpy((look.added.regions == Region.HAIR).astype(np.float32))[:, None]
        tint = hair_samples(bare, rows, look.ids) if teacher.tints_hair else None
        adapter, codes = regress(
            avatar.decoder,
            look.name,
            rows,
            pairs=pairs_of(avatar, look, ends, way),
            hair=hair,
            tint=tint,
            shots=shots,
            config=config.regression,
            told=lambda share: progress(look.label, done + (1 - done) * share),
        )
    if look.added.solid:
        adapter = with_kept_hues(avatar.decoder, adapter, rows.features.numpy(), codes, rows.own)
    learned = LearnedAttribute(
        look.name,
        look.label,
        look.slot,
        look.ids,
        codes[: rows.own],
        _at_start(begun if teacher.known else look, codes[rows.own :]),
        adapter,
        teacher.moves_base or way is not None,
        teacher.tints_hair,
        look.vertex_ids,
        look.vertex_offsets,
        teacher.origin,
        correctives=_correctives(bare, look),
    )
    learned = as_stored(with_even_pace(avatar, settled(bare, look, as_stored(learned))))
    progress(look.label, 1.0)
    return with_learned(avatar, learned)


def with_learned(avatar: Avatar, learned: LearnedAttribute) -> Avatar:
    """The avatar with the attribute appended, or replacing one of the same name. Raises UserError where there is no room."""
    there = {one.name: one for one in avatar.attributes} | {learned.name: learned}
    every = tuple(there.values())
    check_room(every)
    return replace(avatar, attributes=every)


def check_room(every: Sequence[Look]) -> None:
    """Raises UserError where an avatar has no room for so many attributes."""
    limits = (
        (len(every), MAX_ATTRIBUTES, "attributes"),
        (sum(len(one.added) for one in every), MAX_ADDED, "Gaussians that they add"),
        (sum(len(one.ids) for one in every), MAX_CHANGED, "Gaussians that they change"),
        (sum(len(one.vertex_ids) for one in every), MAX_MOVED, "vertices that they move"),
    )
    for count, most, what in limits:
        if count > most:
            raise UserError(
                f"no room for {count:,} {what}: an avatar may have {most:,}; remove some first"
            )


def settled(avatar: Avatar, look: Attribute, learned: LearnedAttribute) -> LearnedAttribute:
    """Correct the initial means of added Gaussians so that their means at weight 1 are the teacher's.

    The network's error at weight 1 is some tenths of a millimetre, visible in strands and frames of glasses; errors at weight 0
    are invisible. Initial means are features of the network, so that changing them changes its outputs: hence several rounds, of
    which each Gaussian keeps the best.
    """
    added = look.added
    if not len(added):
        return learned
    assert avatar.decoder is not None
    split = len(added.surface.triangles)
    matrices = into_binding(avatar.rig, added.surface)
    _, ends = added_places(avatar, look)
    start, sizes, colors = _start(avatar, look, learned)
    best, least = learned, np.full(len(added), np.inf)
    for _ in range(_ROUNDS):
        moved = (matrices @ (start - ends)[:split, :, None])[:, :, 0]
        surface = replace(
            best.added.surface,
            positions=added.surface.positions + moved,
            axes=added.surface.axes * sizes[:split, None],
        )
        rigid = replace(
            best.added.rigid, means=start[split:], scales=added.rigid.scales * sizes[split:, None]
        )
        tried = as_stored(
            replace(
                best,
                added=replace(
                    best.added, surface=surface, rigid=rigid, colors=np.clip(colors, 0, 1)
                ),
            )
        )
        change = added_change(
            avatar.decoder, features_of_added(avatar.rig, tried), tried, [(tried, 1.0)]
        )
        start, sizes, colors = _start(avatar, look, tried)
        off = start + change.places - ends
        growth, tone = np.log(sizes * change.sizes), colors + change.colors - added.colors
        missed = np.linalg.norm(off, axis=1) / _MUCH + np.abs(growth) + np.abs(tone).sum(1)
        best, least = _better(best, tried, missed < least), np.minimum(missed, least)
        start, sizes, colors = (
            start - _STEP * off,
            sizes * np.exp(-_STEP * growth),
            colors - _STEP * tone,
        )
    return best


def _start(
    avatar: Avatar, look: Attribute, learned: LearnedAttribute
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Initial means (S + R, 3) of added Gaussians, metres at rest, sizes (S + R,) relative to the final ones, and colours."""
    mine, full = learned.added, look.added
    size = np.concatenate(
        [
            np.linalg.norm(mine.surface.axes, axis=1) / np.linalg.norm(full.surface.axes, axis=1),
            mine.rigid.scales[:, 0] / full.rigid.scales[:, 0],
        ]
    )
    return places_at_rest(avatar.rig, mine.surface, mine.rigid), size, mine.colors


def _better(one: LearnedAttribute, other: LearnedAttribute, where: BoolArray) -> LearnedAttribute:
    """`one` with those added Gaussians of `other` that `where` (S + R,) selects."""
    a, b, split = one.added, other.added, len(one.added.surface.triangles)
    on, off = where[:split, None], where[split:, None]
    surface = replace(
        a.surface,
        positions=np.where(on, b.surface.positions, a.surface.positions),
        axes=np.where(on, b.surface.axes, a.surface.axes),
    )
    rigid = replace(
        a.rigid,
        means=np.where(off, b.rigid.means, a.rigid.means),
        scales=np.where(off, b.rigid.scales, a.rigid.scales),
    )
    return replace(
        one,
        added=replace(
            a, surface=surface, rigid=rigid, colors=np.where(where[:, None], b.colors, a.colors)
        ),
    )


def _correctives(avatar: Avatar, look: Attribute) -> LookCorrectives | None:
    """The look's correctives; without any, those of the avatar's Gaussians that it does not hide, plus motion of added ones."""
    if not len(avatar.correctives):
        return look.correctives
    kept = kept_by(avatar.opacities[look.ids], look.opacities)
    own = look.correctives or LookCorrectives(kept, no_deltas(len(avatar.correctives)))
    own = replace(own, deltas=with_look_motion(avatar, look, own.deltas))
    return own if len(own.deltas) or (own.kept < 1).any() else None


def _at_start(look: Attribute, codes: np.ndarray) -> LearnedGaussians:
    """The added Gaussians at weight 0."""
    return LearnedGaussians(*begin_of(look), look.added.colors, look.added.regions, codes)


def _check(avatar: Avatar, teacher: TeacherAttribute, frames: Sequence[TrainingFrame]) -> None:
    look = teacher.look
    if not teacher.known and not frames:
        raise UserError(f"attribute {look.name!r} is known from pictures only, and there are none")
    for ids, limit in (
        (look.ids, len(avatar)),
        (look.vertex_ids, len(avatar.rig.vertices)),
        (look.added.surface.triangles, len(avatar.rig.triangles)),
    ):
        if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < limit):
            raise UserError(
                f"attribute {look.name!r} was made for another avatar: make it for this one"
            )
    others: tuple[Look, ...] = tuple(one for one in avatar.attributes if one.name != look.name)
    if any(isinstance(one, Attribute) for one in others):
        raise ValueError("attributes that are not learned cannot stand beside one that is")
