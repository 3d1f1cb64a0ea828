"""Which looks a data set has, and how each is made: built-in ones, the avatar's own, from another photo, from a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from perse_live.cli.console import StepProgress
from perse_live.errors import UserError

if TYPE_CHECKING:
    from offline.dataset.drawing import DatasetPlan
    from offline.dataset.layout import AnimatorName, LookEntry, LookSource
    from offline.editing.contract import EditedPortrait
    from perse_live.attributes import Look
    from perse_live.avatar import Avatar
    from perse_live.cli.dataset import Dataset

DEFAULT_LOOKS = (
    "hair-copper",
    "hair-platinum",
    "hair-long",
    "hair-buzz",
    "hat-cap",
    "hat-beanie",
    "beard-full",
    "beard-moustache",
    "brows-thick",
    "lipstick-red",
    "nose-large",
    "glasses-black",
    "sunglasses",
    "headphones",
    "earrings-hoop",
    "make-up-evening",
)
"""Sixteen: each of PERSE's categories that has built-in attributes, glasses, and make-up."""


@dataclass(frozen=True, eq=False)
class Edit:
    """A look that is wanted."""

    entry: LookEntry
    make: Callable[[StepProgress], EditedPortrait | Look | None]
    """None: the person as they are."""


def edits_of(command: Dataset, avatar: Avatar) -> list[Edit]:
    """The looks that are wanted; the person as they are comes first."""
    from offline.dataset.layout import SOURCE_LOOK, LookEntry, LookSource

    edits = [
        Edit(
            LookEntry(SOURCE_LOOK, "As they are", "", None, "rig", LookSource("source")),
            lambda _: None,
        )
    ]
    edits += [_named_edit(command, avatar, name) for name in _names(command, avatar)]
    if command.from_photo is not None:
        edits.append(_photo_edit(command, avatar, command.from_photo))
    if command.text is not None:
        edits.append(_text_edit(command, avatar, command.text))
    names = [edit.entry.name for edit in edits]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two looks are called {name}: make them one after the other")
    return edits


def _names(command: Dataset, avatar: Avatar) -> tuple[str, ...]:
    from offline.looks.registry import named

    if command.attributes is None:
        given = command.text is not None or command.from_photo is not None
        return () if given else DEFAULT_LOOKS
    known = {one.name for one in avatar.attributes}
    found: dict[str, None] = {}
    for word in command.attributes:
        found.update(dict.fromkeys((word,) if word in known else named((word,))))
    return tuple(found)


def _entry(command: Dataset, name: str, label: str, slot: str, source: LookSource) -> LookEntry:
    from offline.dataset.categories import category_of
    from offline.dataset.layout import LookEntry

    category = category_of(slot)
    return LookEntry(name, label, slot, category, _animator_of(command, category), source)


def _animator_of(command: Dataset, category: str | None) -> AnimatorName:
    """Who draws a look: as asked, or by PERSE's rule as far as the models are given."""
    from offline.dataset.categories import keeps_outline

    if command.animator != "auto":
        return command.animator
    if category is None:
        return "rig"
    if keeps_outline(category):
        return "liveportrait" if command.liveportrait is not None else "rig"
    return "video" if command.video is not None else "rig"


def _named_edit(command: Dataset, avatar: Avatar, name: str) -> Edit:
    from offline.dataset.layout import LookSource
    from offline.looks.registry import TITLES, builders
    from perse_live.attributes import LearnedAttribute

    if name in TITLES:
        label, slot = TITLES[name]
        bare = replace(avatar, attributes=())
        return Edit(
            _entry(command, name, label, slot, LookSource("built-in")),
            lambda _: builders()[name](bare),
        )
    known = next(one for one in avatar.attributes if one.name == name)
    origin = known.origin if isinstance(known, LearnedAttribute) else None
    source = (
        LookSource("built-in")
        if origin is None
        else LookSource(
            "photo",
            photo_sha256=origin.photo_sha256,
            consent_by=origin.consent_by,
            consent_at=origin.consent_at,
        )
    )
    return Edit(_entry(command, known.name, known.label, known.slot, source), lambda _: known)


def _photo_edit(command: Dataset, avatar: Avatar, path: Path) -> Edit:
    from offline.dataset.layout import LookSource
    from offline.editing.other_photo import FromPhoto, title_for
    from perse_live.cli.attributes import consent_for
    from perse_live.photo import load_photo

    by = consent_for(path, command.consent, "by --consent")
    photo, part = load_photo(path), command.part or ""
    title = title_for(part, Path(photo.name).stem, None)
    source = LookSource(
        "photo",
        photo_sha256=photo.sha256,
        consent_by=by,
        consent_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    return Edit(
        _entry(command, title.name, title.label, title.slot, source),
        lambda progress: FromPhoto(photo, part, title.name)(
            replace(avatar, attributes=()), progress=progress
        ),
    )


def _text_edit(command: Dataset, avatar: Avatar, text: str) -> Edit:
    from offline.dataset.layout import LookSource
    from offline.editing.inpainter import Inpainter
    from offline.editing.inpainting import FromText
    from offline.editing.other_photo import title_for
    from offline.editing.prompts import description

    part = command.part or ""
    title = title_for(part, description(part, text, command.seed), None)
    source = LookSource("text", text=text, model=command.model, seed=command.seed)

    def make(progress: StepProgress) -> EditedPortrait:
        progress("loading the model", 0.0)
        inpainter = Inpainter(command.model or "", local_only=command.network.offline)
        words = FromText(text, part, inpainter, title.name, command.seed, command.steps)
        return words(replace(avatar, attributes=()), progress=progress)

    return Edit(_entry(command, title.name, title.label, title.slot, source), make)


def look_of(made: EditedPortrait | Look | None) -> Look | None:
    """What the rig draws of an edit; None: the person as they are."""
    from offline.editing.contract import EditedPortrait

    return made.teacher.look if isinstance(made, EditedPortrait) else made


def portrait_of(plan: DatasetPlan, made: EditedPortrait | Look | None) -> EditedPortrait:
    """An edited portrait for animators; a look that is known in 3D is drawn into the photo's view."""
    from offline.editing.contract import EditedPortrait
    from offline.editing.look_pictures import LookRenderer, portrait_background, source_view
    from offline.looks.edit import taught
    from offline.training.contract import TeacherAttribute
    from perse_live.attributes import Attribute

    if isinstance(made, EditedPortrait):
        return made
    if not isinstance(made, Attribute):
        raise UserError(
            "a look that the avatar has learnt is only drawn by the rig: give --animator rig or auto"
        )
    view = source_view(plan.avatar, plan.size)
    renderer = LookRenderer(plan.avatar, view.camera, made)
    teacher: TeacherAttribute = taught(made)
    rgb = renderer.over(view, portrait_background(plan.avatar, view))
    return EditedPortrait(rgb, renderer.mask(view), view, teacher)
