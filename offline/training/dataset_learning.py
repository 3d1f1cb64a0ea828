"""Adapters from a data set alone: of each look the frames of the train split, and its point tracks where there are any."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from offline.animation.head_classes import class_of_thing
from offline.dataset.layout import (
    SOURCE_LOOK,
    Dataset,
    DatasetFrame,
    DatasetLook,
    Split,
)
from offline.dataset.reading import (
    read_depth,
    read_grey,
    read_normals,
    read_semantic,
    read_training_frame,
)
from offline.dataset.tracks import read_tracks
from offline.training.contract import Progress
from offline.training.fit_to_pictures import LiftConfig
from offline.training.learning import FitConfig, fit_attribute
from offline.training.posed_avatar import SeenFrame
from offline.training.regression import RegressionConfig
from offline.training.start_from_frames import teacher_from_frames
from offline.training.tracked_points import tracked_points
from offline.training.unprojection import ON_SKIN, Points
from perse_live.attributes import SLOTS, PhotoOrigin
from perse_live.avatar import Avatar
from perse_live.errors import UserError

T = TypeVar("T")
_BACKDROPS = ((0.1, 0.1, 0.1), (0.9, 0.9, 0.9), (0.2, 0.7, 0.3), (0.8, 0.3, 0.7))
"""Over one backdrop alone, what a look hides would be painted in that colour instead of hidden."""


@dataclass(frozen=True)
class DatasetFitConfig:
    """How a look is learnt from a data set."""

    frames: int = 64
    """Of the train split, evenly chosen: what one picture more teaches falls off quickly, and all are kept in memory."""
    start_frames: int = 12
    """Of these, from as many sides as there are, from which Gaussians are unprojected; all tell which of the avatar's Gaussians
    the look hides."""
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            lift=LiftConfig(steps=800), regression=RegressionConfig(steps=600, drawn_steps=60)
        )
    )
    """More than for a look with a dozen pictures."""
    tracked: LiftConfig = field(
        default_factory=lambda: LiftConfig(steps=800, shape_rates=(0.05, 0.05), moves_added=False)
    )
    """Of looks on the face whose points the data set tracks, instead of `fit.lift`: shape and opacity are to be found."""


def looks_to_learn(dataset: Dataset, only: Sequence[str] = ()) -> list[DatasetLook]:
    """The looks of a data set but for the person as they are. Raises UserError, one line, for a name that it has not, and where
    there is none, or one without frames to learn from.
    """
    looks = {one.name: one for one in dataset.looks if one.name != SOURCE_LOOK}
    for name in only:
        if name not in looks:
            raise UserError(
                f"{dataset.root} has no look {name[:40]!r}: it has {', '.join(looks) or 'none'}"
            )
    chosen = [one for name, one in looks.items() if not only or name in only]
    if not chosen:
        raise UserError(
            f"{dataset.root} shows the person as they are only: there is no look to learn"
        )
    for one in chosen:
        if not one.split("train"):
            raise UserError(f"{dataset.root}: the look {one.name} has no frames in its train split")
    return chosen


def learn_from_dataset(
    avatar: Avatar,
    dataset: Dataset,
    looks: Sequence[DatasetLook],
    *,
    progress: Progress,
    slot: str | None = None,
    config: DatasetFitConfig | None = None,
    learnt: Callable[[str, Avatar], None] | None = None,
) -> Avatar:
    """The avatar with an attribute for each look, from the train split; one of the same name is replaced.

    slot: of looks that the data set has no manifest for. learnt: given each attribute's name, and the avatar that has it.
    Raises UserError, one line, where a picture cannot be read, or it is not known which slot a look is of.
    """
    config = config or DatasetFitConfig()
    places = [_place(dataset, look, slot) for look in looks]
    for number, (look, place) in enumerate(zip(looks, places, strict=True)):

        def told(_: str, share: float, at: int = number, name: str = look.name) -> None:
            progress(f"learning {name}", (at + share) / len(looks))

        told("", 0.0)
        seen = seen_frames(look, "train", config.frames, slot=place[2])
        bare, fit = replace(avatar, attributes=()), config.fit
        points = _tracked(bare, look, place[2], seen)
        if points is not None:
            fit = replace(fit, lift=config.tracked)
        sides = from_all_sides(seen, config.start_frames)
        teacher = teacher_from_frames(bare, *place, seen, sides, points)
        teacher = replace(teacher, origin=_origin(look))
        frames = [one.frame for one in seen]
        avatar = fit_attribute(avatar, teacher, frames, progress=told, config=fit)
        if learnt is not None:
            learnt(look.name, avatar)
    return avatar


def seen_frames(look: DatasetLook, split: Split, most: int, *, slot: str) -> list[SeenFrame]:
    """At most so many frames of a split, evenly chosen, over different backdrops where their alpha and background are known.

    slot: the look's. Raises UserError for damaged pictures.
    """
    chosen = _evenly(look.split(split), most)
    return [_seen(frame, _BACKDROPS[k % len(_BACKDROPS)], slot) for k, frame in enumerate(chosen)]


def _seen(frame: DatasetFrame, backdrop: tuple[float, float, float], slot: str) -> SeenFrame:
    training, files = read_training_frame(frame), frame.files
    shape = training.part_mask.shape
    depth = None if files.depth is None else read_depth(files.depth)
    normals = None if files.normals is None else read_normals(files.normals)
    thing, wanted = None, class_of_thing(slot)
    if files.semantic is not None and wanted is not None:
        thing = read_semantic(files.semantic) == wanted
    for path, found in ((files.depth, depth), (files.normals, normals), (files.semantic, thing)):
        if found is not None and found.shape[:2] != shape:
            raise UserError(f"{path} is not of its picture's size: make the data set again")
    alpha = None
    if files.alpha is not None and frame.background is not None:
        alpha = np.asarray(read_grey(files.alpha) / np.float32(255), np.float32)
        behind = (1 - alpha[..., None]) * np.array(backdrop)
        image = np.clip(training.image + behind, 0, 1).astype(np.float32)
        training = replace(training, image=image, backdrop=backdrop)
    return SeenFrame(training, depth, alpha, normals, thing)


def _tracked(
    avatar: Avatar, look: DatasetLook, slot: str, seen: Sequence[SeenFrame]
) -> Points | None:
    """The tracked points of a look on the face; None: it has none. Raises UserError for damaged tracks, and for test frames'."""
    # of what turns with the head, tracks tell no more than depth
    if look.tracks is None or slot not in ON_SKIN:
        return None
    tracks = read_tracks(look.tracks)
    steps = tracks.timesteps.tolist()
    train = {frame.index: frame for frame in look.split("train")}
    for step in steps:
        if step not in train:
            raise UserError(
                f"{look.tracks}: frame {step} is not in the train split: make the data set again"
            )
    return tracked_points(avatar, slot, tracks, [train[step] for step in steps], seen)


def _place(dataset: Dataset, look: DatasetLook, slot: str | None) -> tuple[str, str, str]:
    """Name, label and slot of the attribute."""
    entry = look.entry
    if entry is not None and entry.slot in SLOTS:
        return entry.name, entry.label, entry.slot
    if slot not in SLOTS:
        raise UserError(
            f"{dataset.root} does not say of which part the look {look.name} is:"
            f" add --slot with one of {', '.join(SLOTS)}"
        )
    name = re.sub(r"[^a-z0-9]+", "-", look.name.lower()).strip("-")[:40] or "look"
    return name, name.replace("-", " ").capitalize(), slot


def _origin(look: DatasetLook) -> PhotoOrigin | None:
    """Whose photo a look was taken from."""
    source = None if look.entry is None else look.entry.source
    if source is None or source.photo_sha256 is None:
        return None
    return PhotoOrigin(
        source.photo_sha256, source.consent_by or "nobody was asked", source.consent_at or ""
    )


def from_all_sides(seen: Sequence[SeenFrame], most: int) -> list[SeenFrame]:
    """At most so many pictures, the first among them, each turned as far as possible from those before it.

    Farthest point sampling by the angle of the head's rotation. Of a motion that seldom turns, evenly chosen pictures would not
    show the back of a hat.
    """
    rotations = np.array([one.frame.pose.R_cam_head for one in seen]).reshape(-1, 9)
    chosen: list[int] = []
    least = np.full(len(seen), np.inf)
    while len(chosen) < min(most, len(seen)):
        chosen.append(int(least.argmax()))
        # the trace of R1' R2 falls as the angle between the two rises
        least = np.minimum(least, 3 - rotations @ rotations[chosen[-1]])
        least[chosen] = -np.inf
    return [seen[index] for index in chosen]


def _evenly(rows: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spread, the first among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[k * len(rows) // most] for k in range(most)]
