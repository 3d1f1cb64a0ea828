"""`perse-live attribute`: the attributes of an avatar."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg, subcommand

from perse_live.cli import measure
from perse_live.cli.console import (
    StepProgress,
    ask_consent,
    can_ask,
    print_json,
    print_written,
    printable,
    user_name,
    warn,
)
from perse_live.cli.measure import AttributeMeasure
from perse_live.cli.options import AvatarFile, JsonSwitch, Network, OutputFile, Replacing
from perse_live.cli.progress_report import reporting
from perse_live.cli.shared import BUILDING_ASSETS, fetch, from_photos, make_folder, without_offline
from perse_live.errors import UserError
from perse_live.files import check_picture_name, write_image
from perse_live.outputs import check_output_folder, check_outputs, check_writable

if TYPE_CHECKING:
    from offline.training.learning import FitConfig
    from perse_live.attributes import Look
    from perse_live.avatar import Avatar

_SECONDS_PER_THUMBNAIL = 0.4  # two cores, sample portrait; for the time left


@dataclass(frozen=True)
class AttributeList:
    """List the attributes that an avatar has, and those that could be added."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    json: JsonSwitch = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class AttributeAdd:
    """Add attributes to an avatar: built-in ones by name, a part of a photo, or what words describe. An attribute of the same
    name is replaced.
    """

    avatar: Positional[AvatarFile]
    """An avatar file (.perse), which is rewritten."""
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME")] = ()
    """Built-in ones, such as beard-full; `default` and `all` stand for many."""
    from_photo: Annotated[Path | None, arg(name="from", metavar="PHOTO")] = None
    """Take the part from this photo of another person."""
    text: str | None = None
    """Let a diffusion model paint the part into the portrait by this text, such as "a short boxed beard"; `any`: a random
    text by seed.
    """
    part: Annotated[str | None, arg(metavar="PART")] = None
    """What is taken from the photo or painted: hair, beard, brows, glasses, hat, makeup or eyes."""
    consent: bool = False
    """For --from: declare that the person in the photo agrees, instead of being asked on the terminal."""
    consent_how: str = "by --consent"
    """With --consent: how it was declared, for the avatar's file."""
    name: str | None = None
    """Name of the attribute from a photo or text: up to 40 of a-z, 0-9 and -; by default derived from the photo's name or the
    text.
    """
    model: Annotated[str | None, arg(metavar="FOLDER_OR_ID")] = None
    """For --text: a diffusers pipeline for inpainting or editing, as a folder or the id of a hub."""
    seed: int = 0
    """For --text: another seed gives another picture."""
    steps: int = 30
    """For --text: number of diffusion steps; more take longer."""
    liveportrait: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """A folder with LivePortrait's ONNX files: the attribute is also learnt from the portrait animated by them."""
    video: Annotated[str | None, arg(metavar="FOLDER_OR_ID")] = None
    """A guided video pipeline of diffusers, such as AnimateDiff with ControlNets and an IP-Adapter: the attribute is also learnt
    from the portrait animated by it."""
    interpolation: float = 0.2
    """Weight of the interpolation regularisation between looks of one part; 0: off."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the pictures of the training are drawn; auto takes CUDA where gsplat can draw."""
    progress_json: bool = False
    """Tell progress as lines of JSON on stdout, for programs, and keep each built-in attribute as soon as it is learnt."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class AttributeLearn:
    """Learn attributes from the train split of a data set: one made by `perse-live dataset`, or another program's folder with
    transforms.json.
    """

    avatar: Positional[AvatarFile]
    """An avatar file (.perse), which is rewritten; an attribute of the same name is replaced."""
    dataset: Annotated[Path, arg(metavar="DIR")]
    """The data set."""
    only: Annotated[tuple[str, ...], arg(metavar="NAME")] = ()
    """Learn only these looks of the data set."""
    slot: str | None = None
    """The part of the face that the look changes, where the data set does not say: hair, hat, glasses, beard, ..."""
    frames: int = 64
    """Number of frames of each look's train split to learn from, evenly chosen; more need more time and memory."""
    interpolation: float = 0.2
    """Weight of the interpolation regularisation between looks of one part; 0: off."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the pictures of the training are drawn; auto takes CUDA where gsplat can draw."""
    progress_json: bool = False
    """Tell progress as lines of JSON on stdout, for programs, and keep each attribute as soon as it is learnt."""


@dataclass(frozen=True)
class AttributeRemove:
    """Take attributes out of an avatar."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse), which is rewritten."""
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME")]
    """As `list` shows them; `all` stands for all."""


@dataclass(frozen=True)
class AttributePreview:
    """Draw a sheet of an avatar's attributes: each coming in, turned and talking."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    output: OutputFile
    """The picture to write (.png or .jpg)."""
    along: Annotated[tuple[str, ...], arg(metavar="NAME")] = ()
    """Instead, the way from the avatar without attributes to the first of these, from there to the second, and so on, in
    eighths; all of one slot, such as hair."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)


@dataclass(frozen=True)
class AttributeThumbnails:
    """Draw a small picture of every built-in attribute on an avatar's face, also of those that it does not have."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    output: OutputFile
    """A folder; the pictures are named after the attributes (.webp)."""
    names: Annotated[tuple[str, ...], arg(metavar="NAME")] = ()
    """Draw only these."""
    progress_json: bool = False
    """Tell progress as lines of JSON on stdout, for programs."""


@dataclass(frozen=True)
class Attributes:
    """List, add, learn, remove, preview or measure the attributes of an avatar: beards, glasses, hats, make-up, shapes."""

    do: OmitSubcommandPrefixes[
        Annotated[AttributeList, subcommand("list")]
        | Annotated[AttributeAdd, subcommand("add")]
        | Annotated[AttributeLearn, subcommand("learn")]
        | Annotated[AttributeRemove, subcommand("remove")]
        | Annotated[AttributePreview, subcommand("preview")]
        | Annotated[AttributeThumbnails, subcommand("thumbnails")]
        | Annotated[AttributeMeasure, subcommand("measure")]
    ]


def run(command: Attributes) -> None:
    """List, add, learn, remove, preview or measure attributes."""
    match command.do:
        case AttributeList():
            _list_attributes(command.do)
        case AttributeAdd():
            _add_attributes(command.do)
        case AttributeLearn():
            _learn_attributes(command.do)
        case AttributeRemove():
            _remove_attributes(command.do)
        case AttributeMeasure():
            measure.run(command.do)
        case AttributePreview():
            _preview_attributes(command.do)
        case AttributeThumbnails():
            _draw_thumbnails(command.do)


def _list_attributes(command: AttributeList) -> None:
    from offline.looks.registry import TITLES
    from perse_live.attributes import LearnedAttribute
    from perse_live.avatar import load_avatar

    avatar = load_avatar(command.avatar)
    there = [
        {
            "name": one.name,
            "label": one.label,
            "slot": one.slot,
            "key": key,
            "gaussians": len(one.added),
            "photo": asdict(one.origin)
            if isinstance(one, LearnedAttribute) and one.origin is not None
            else None,
        }
        for key, one in enumerate(avatar.attributes, 1)
    ]
    names = {one.name for one in avatar.attributes}
    possible = [
        {"name": name, "label": label, "slot": slot}
        for name, (label, slot) in TITLES.items()
        if name not in names
    ]
    if command.json:
        print_json({"file": str(command.avatar), "attributes": there, "available": possible})
        return
    print(
        f"in {printable(str(command.avatar))}:"
        if there
        else f"none in {printable(str(command.avatar))}"
    )
    for one in there:
        print(
            f"{one['key']:>4}  {one['name']:<20} {printable(str(one['label'])):<26} {one['slot']}"
        )
    for one in from_photos(avatar):
        print(f"{'':>4}  {printable(one)}")
    if possible:
        print("can be added:")
    for one in possible:
        print(f"{'':>4}  {one['name']:<20} {one['label']:<26} {one['slot']}")


def _add_attributes(command: AttributeAdd) -> None:
    from perse_live.avatar import load_avatar, save_avatar

    ways = [bool(command.names), command.from_photo is not None, command.text is not None]
    if sum(ways) > 1:
        raise UserError(
            "names, --from and --text are three ways to say what is added: choose one of them"
        )
    if command.names and any(
        one is not None for one in (command.part, command.name, command.liveportrait, command.video)
    ):
        raise UserError(
            "--part, --name, --liveportrait and --video go with --from or --text, not with names of built-in attributes"
        )
    if command.consent and command.from_photo is None:
        raise UserError("--consent goes with --from: it is about the person in that photo")
    _check_interpolation(command.interpolation)
    if command.from_photo is None and command.text is None:
        from offline.looks.registry import named

        names = named(_some(command.names, "default"))
    else:
        _check_edit(command)
        names = ()
    avatar = load_avatar(command.avatar)
    check_writable(command.avatar)
    consent_by = (
        ""
        if command.from_photo is None
        else consent_for(command.from_photo, command.consent, command.consent_how)
    )
    complaints: list[str] = []
    begun = perf_counter()
    try:
        from offline.looks.registry import ATTRIBUTES_STEP, SECONDS_PER_ATTRIBUTE

        usual = {ATTRIBUTES_STEP: SECONDS_PER_ATTRIBUTE * len(names)} if names else None
        with reporting(usual, as_json=command.progress_json) as reports:
            if names:
                from offline.looks.edit import with_built_in
                from offline.training.learning import FitConfig

                def learnt(name: str, so_far: Avatar) -> None:
                    if command.progress_json:  # a live session shows each as soon as it is learnt
                        save_avatar(command.avatar, so_far)
                        reports.learnt(name)

                avatar, complaints = with_built_in(
                    avatar,
                    names,
                    progress=reports.progress,
                    learnt=learnt,
                    config=_fit_config(FitConfig(), command),
                )
            else:
                fetch(BUILDING_ASSETS, command.network, reports.progress)
                avatar = _edited(avatar, command, consent_by, reports.progress)
            save_avatar(command.avatar, avatar)
            for complaint in complaints:
                reports.warning(complaint)
    except ModuleNotFoundError as error:
        raise without_offline(error) from error
    if not command.progress_json:
        _print_attributes(command.avatar, avatar)
        print(f"{max(len(names), 1) - len(complaints)} learnt in {perf_counter() - begun:.0f} s")


def _check_edit(command: AttributeAdd) -> None:
    """Check --from and --text before anything is loaded."""
    from offline.editing.part_names import require_part

    if command.part is None:
        raise UserError(
            "which part is missing: add --part hair, beard, brows, glasses, hat, makeup or eyes"
        )
    require_part(command.part)
    if command.text is not None and command.model is None:
        raise UserError(
            "--text needs a model to paint with: add --model FOLDER, a diffusers pipeline for inpainting"
        )
    if command.text is not None and not command.text.strip():
        raise UserError("--text is empty: describe the part, or say any")
    if command.name is not None and not re.fullmatch(r"[a-z0-9-]{1,40}", command.name):
        raise UserError(
            f"an attribute cannot be named {command.name[:50]!r}: use up to 40 of a-z, 0-9 and -"
        )
    if not 1 <= command.steps <= 500 or not 0 <= command.seed < 2**63:
        raise UserError("--steps is from 1 to 500, and --seed is not negative")


def consent_for(photo: Path, declared: bool, how: str) -> str:
    """Who declares the consent of the person in a photo; asks on the terminal. Without a terminal, records that nobody was asked.

    Raises UserError for a no.
    """
    if not photo.is_file():
        raise UserError(f"{photo}: no such file; give the path of a portrait photo")
    if declared:
        return printable(f"the user {user_name()}, {how[:100]}")
    if not can_ask():
        warn(
            f"warning: nobody was asked whether the person in {photo} agrees, and the avatar's file will say so: add --consent"
        )
        return "nobody was asked"
    return printable(ask_consent(photo, "A look is taken over from the person in {}."))


def _edited(
    avatar: Avatar, command: AttributeAdd, consent_by: str, progress: StepProgress
) -> Avatar:
    """The avatar with what a photo or words add."""
    from offline.animation.frames import training_frames
    from offline.animation.guided_video import VideoAnimator
    from offline.animation.liveportrait import LivePortrait
    from offline.animation.video_pipeline import open_video_pipeline
    from offline.editing.other_photo import FromPhoto
    from offline.training.learning import FitConfig, fit_attribute
    from perse_live.attributes import PhotoOrigin
    from perse_live.photo import load_photo

    part = command.part or ""
    networks = None if command.liveportrait is None else LivePortrait(command.liveportrait)
    video = None
    if command.video is not None:
        progress("loading the video model", 0.0)
        video = VideoAnimator(
            open_video_pipeline(command.video, local_only=command.network.offline)
        )
    if command.from_photo is not None:
        photo = load_photo(command.from_photo)
        edited = FromPhoto(photo, part, command.name)(avatar, progress=progress)
        origin = PhotoOrigin(
            photo.sha256, consent_by, datetime.now(timezone.utc).isoformat(timespec="seconds")
        )
        edited = replace(edited, teacher=replace(edited.teacher, origin=origin))
    else:
        from offline.editing.inpainter import Inpainter
        from offline.editing.inpainting import FromText

        progress("loading the model", 0.0)
        inpainter = Inpainter(command.model or "", local_only=command.network.offline)
        words = FromText(
            command.text or "", part, inpainter, command.name, command.seed, command.steps
        )
        edited = words(avatar, progress=progress)
    frames = training_frames(
        replace(avatar, attributes=()), edited, networks, video, progress=progress
    )
    return fit_attribute(
        avatar, edited.teacher, frames, progress=progress, config=_fit_config(FitConfig(), command)
    )


def _fit_config(config: FitConfig, command: AttributeAdd | AttributeLearn) -> FitConfig:
    regression = replace(config.regression, interpolation=command.interpolation)
    return replace(config, device=command.device, regression=regression)


def _check_interpolation(weight: float) -> None:
    if not 0 <= weight <= 100:
        raise UserError(f"--interpolation is from 0 to 100, not {weight:g}")


def _learn_attributes(command: AttributeLearn) -> None:
    from perse_live.avatar import load_avatar, save_avatar

    if not 1 <= command.frames <= 10_000:
        raise UserError(f"--frames is from 1 to 10000, not {command.frames}")
    _check_interpolation(command.interpolation)
    avatar = load_avatar(command.avatar)
    check_writable(command.avatar)
    begun = perf_counter()
    try:
        from offline.dataset.reading import read_dataset
        from offline.training.dataset_learning import (
            DatasetFitConfig,
            learn_from_dataset,
            looks_to_learn,
        )

        dataset = read_dataset(command.dataset)
        looks = looks_to_learn(dataset, command.only)
        config = DatasetFitConfig(frames=command.frames)
        fit = _fit_config(config.fit, command)
        with reporting(as_json=command.progress_json) as reports:

            def learnt(name: str, so_far: Avatar) -> None:
                if command.progress_json:
                    save_avatar(command.avatar, so_far)
                    reports.learnt(name)

            avatar = learn_from_dataset(
                avatar,
                dataset,
                looks,
                progress=reports.progress,
                slot=command.slot,
                config=replace(config, fit=fit),
                learnt=learnt,
            )
            save_avatar(command.avatar, avatar)
    except ModuleNotFoundError as error:
        raise without_offline(error) from error
    if not command.progress_json:
        _print_attributes(command.avatar, avatar)
        print(f"{len(looks)} learnt in {perf_counter() - begun:.0f} s")


def _remove_attributes(command: AttributeRemove) -> None:
    from offline.looks.edit import without
    from offline.looks.registry import ALL_WORD
    from perse_live.avatar import load_avatar, save_avatar

    names = _some(command.names, "beard-full")
    avatar = load_avatar(command.avatar)
    check_writable(command.avatar)
    fewer = without(
        avatar, [one.name for one in avatar.attributes] if names == (ALL_WORD,) else names
    )
    save_avatar(command.avatar, fewer)
    _print_attributes(command.avatar, fewer)


def _preview_attributes(command: AttributePreview) -> None:
    from perse_live.avatar import load_avatar
    from runtime.attribute_sheet import attribute_sheet, way_sheet

    check_picture_name(command.output)
    check_outputs([command.output], inputs=[command.avatar], overwrite=command.replacing.overwrite)
    avatar = load_avatar(command.avatar)
    if not avatar.attributes:
        raise UserError(
            f"{command.avatar} has no attributes: perse-live attribute add {command.avatar} default"
        )
    if command.along:
        write_image(command.output, way_sheet(avatar, _on_one_way(avatar, command)))
    else:
        write_image(command.output, attribute_sheet(avatar, avatar.attributes))
    print_written("attribute sheet", command.output)


def _on_one_way(avatar: Avatar, command: AttributePreview) -> list[Look]:
    there = {one.name: one for one in avatar.attributes}
    for name in command.along:
        if name not in there:
            raise UserError(f"{command.avatar} has no attribute {name}: it has {', '.join(there)}")
    chosen = [there[name] for name in command.along]
    if len({one.slot for one in chosen}) > 1:
        of = ", ".join(f"{one.name} ({one.slot})" for one in chosen)
        raise UserError(
            f"no way leads from one to the other: --along takes looks of one slot, not {of}"
        )
    return chosen


def _draw_thumbnails(command: AttributeThumbnails) -> None:
    try:
        from offline.looks.registry import builders, named
    except ModuleNotFoundError as error:
        raise without_offline(error) from error
    from perse_live.avatar import load_avatar
    from runtime.attribute_thumbnails import ThumbnailPainter

    names = named(command.names or ("all",))
    check_output_folder(command.output, [f"{name}.webp" for name in names], inputs=[command.avatar])
    bare = replace(load_avatar(command.avatar), attributes=())
    folder, makers, step = make_folder(command.output), builders(), "drawing looks"
    painter = ThumbnailPainter(bare)
    with reporting(
        {step: _SECONDS_PER_THUMBNAIL * len(names)}, as_json=command.progress_json
    ) as reports:
        for k, name in enumerate(names):
            reports.progress(step, k / len(names))
            try:
                look = makers[name](bare)
            except UserError as error:
                reports.warning(f"no {name}: {error}")
                continue
            path = folder / f"{name}.webp"
            write_image(path, painter.draw(look))
            reports.picture(name, path)
        reports.progress(step, 1.0)


def _some(names: tuple[str, ...], example: str) -> tuple[str, ...]:
    if not names:
        raise UserError(
            f"no attribute is named: give names such as {example}; perse-live attribute list shows them"
        )
    return names


def _print_attributes(path: Path, avatar: Avatar) -> None:
    print(
        f"{printable(str(path))} ({path.stat().st_size / 1e6:.1f} MB):"
        f" {', '.join(one.name for one in avatar.attributes) or 'no attributes'}"
    )
