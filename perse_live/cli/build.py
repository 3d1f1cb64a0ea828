"""`perse-live build`: a portrait photo becomes an avatar file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.cli.console import StepProgress, ask_consent, printable, user_name, warn
from perse_live.cli.options import Network, OutputFile, PhotoFile, Replacing
from perse_live.cli.progress_report import reporting
from perse_live.cli.shared import (
    BUILDING_ASSETS,
    check_suffix,
    fetch,
    make_folder,
    require_builder,
    without_offline,
)
from perse_live.errors import UserError
from perse_live.files import write_image
from perse_live.outputs import check_output_folder, check_outputs, free_side_file

if TYPE_CHECKING:
    from offline.build_state import BuildState
    from offline.pipeline import Stage
    from perse_live.photo import Photo

_CLIP_FRAMES = 60  # of a clip that are looked at
_LONGEST_HOW = 100  # characters of how consent was declared


@dataclass(frozen=True)
class Build:
    """Build an avatar from one portrait photo."""

    photo: Positional[PhotoFile]
    """A photo with one face, from 256 pixels on; with several faces the largest is used."""
    output: OutputFile
    """The avatar file to write (.perse); a contact sheet is written next to it under the same name (.png), or as NAME.sheet.png
    where that is a picture of yours."""
    extra: Annotated[tuple[Path, ...], arg(metavar="PHOTO_OR_CLIP")] = ()
    """Further photos, or a clip, of the same person: turned to the sides, with eyes closed, with an open mouth. The head shape is
    fitted to all of them, and they supply what the photo does not show. Pictures of other people are ignored."""
    steps: Annotated[Path | None, arg(metavar="DIR")] = None
    """A folder to write a picture of each stage into: landmarks, matte, visibility, colours, Gaussians, errors. They show at
    which stage a photo fails."""
    previews: Annotated[Path | None, arg(metavar="DIR")] = None
    """A folder to write a small picture of each visible stage into, including the avatar before its refinement; for programs that
    show the progress of a build."""
    crop: Annotated[tuple[int, int, int, int] | None, arg(metavar="LEFT TOP WIDTH HEIGHT")] = None
    """Use only this part of the photo, in pixels of the upright photo; selects one of several people."""
    consent: bool = False
    """Declare that the person in the photo agrees to the avatar, instead of being asked on the terminal."""
    consent_how: str = "by --consent"
    """With --consent: how it was declared, for the avatar's file."""
    no_sheet: bool = False
    """Write no contact sheet."""
    progress_json: bool = False
    """Tell progress as lines of JSON on stdout, for programs; see docs/live-api.md."""
    attributes: str = "default"
    """Attributes to add: `none`, `default`, `all`, or names such as beard-full,sunglasses; see perse-live attribute list."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def _missing(path: Path) -> str:
    return f"{path}: {'not an ordinary file' if path.exists() else 'no such file'}"


def run(command: Build) -> None:
    """Build an avatar from a photo, with consent."""
    check_suffix(command.output, ".perse")
    if not command.photo.is_file():
        raise UserError(f"{_missing(command.photo)}: give the path of a portrait photo")
    for path in command.extra:
        if not path.is_file():
            raise UserError(f"{_missing(path)}: give the path of a further photo or a clip")
    require_builder()
    named_attributes(command.attributes)
    inputs = (command.photo, *command.extra)
    check_outputs([command.output], inputs=inputs, overwrite=command.replacing.overwrite)
    if command.steps is not None:
        try:
            from offline.stage_pictures import PANELS, stage_file
        except ModuleNotFoundError as error:
            raise without_offline(error) from error
        check_output_folder(
            command.steps,
            [stage_file(one) for one in PANELS],
            inputs=inputs,
            overwrite=command.replacing.overwrite,
        )
    if command.previews is not None:
        check_output_folder(command.previews, (), inputs=inputs)
    if command.consent:
        by = printable(f"the user {user_name()}, {command.consent_how[:_LONGEST_HOW]}")
    else:
        by = ask_consent(command.photo)
    build_to(
        command.output,
        command.photo,
        by,
        command.network,
        attributes=command.attributes,
        extra=command.extra,
        steps=command.steps,
        previews=command.previews,
        crop=command.crop,
        sheet=not command.no_sheet,
        as_json=command.progress_json,
    )


def build_to(
    output: Path,
    photo: Path,
    consent_by: str,
    network: Network,
    *,
    attributes: str,
    extra: Sequence[Path] = (),
    steps: Path | None = None,
    previews: Path | None = None,
    crop: tuple[int, int, int, int] | None = None,
    sheet: bool = True,
    as_json: bool = False,
) -> None:
    """Build an avatar and its contact sheet, and print their paths.

    steps, previews: folders for a picture of each stage; crop: as `cropped` takes it; as_json: tell progress as lines of JSON.
    """
    try:
        from offline.build_state import Consent
        from offline.looks.registry import ATTRIBUTES_STEP, SECONDS_PER_ATTRIBUTE
        from offline.pipeline import STAGES, build_avatar
        from offline.stage_pictures import write_preview, write_stage_picture
    except ModuleNotFoundError as error:
        raise without_offline(error) from error
    from perse_live.avatar import save_avatar
    from perse_live.photo import cropped, load_photo
    from runtime.sheet import contact_sheet

    consent = Consent(by=consent_by, at=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    names = named_attributes(attributes)
    usual = {
        **{stage.name: stage.seconds for stage in STAGES},
        ATTRIBUTES_STEP: SECONDS_PER_ATTRIBUTE * len(names),
    }
    # Torch and peft take 5 s to import, and the stages up to refinement leave a core free
    if names:
        Thread(
            target=import_module, args=("offline.looks.edit",), name="import", daemon=True
        ).start()
    with reporting(usual, as_json=as_json) as reports:
        progress = reports.progress
        fetch(BUILDING_ASSETS, network, progress)
        if steps is not None:
            make_folder(steps)
        if previews is not None:
            make_folder(previews)

        def done(stage: Stage, state: BuildState) -> None:
            if steps is not None:
                write_stage_picture(steps, stage.key, state)
            if (
                previews is not None
                and (written := write_preview(previews, stage.key, state)) is not None
            ):
                reports.picture(stage.key, written)

        part = photo if crop is None else cropped(load_photo(photo), crop)
        avatar = build_avatar(
            part,
            consent=consent,
            extra=further_pictures(extra, progress),
            progress=progress,
            done=done,
        )
        complaints: list[str] = []
        if names:
            from offline.looks.edit import with_built_in

            avatar, complaints = with_built_in(avatar, names, progress=progress)
        save_avatar(output, avatar)
        for warning in (*avatar.provenance.warnings, *complaints):
            reports.warning(warning)
        sheet_picture = contact_sheet(avatar) if sheet else None
    reports.written("avatar", output)
    if sheet_picture is not None:
        sheet_file = free_side_file(output.with_suffix(".png"), inputs=(photo, *extra))
        write_image(sheet_file, sheet_picture)
        reports.written("contact sheet", sheet_file)
    if steps is not None and not as_json:
        print(f"a picture of each stage: {printable(str(steps))}")


def further_pictures(paths: Sequence[Path], progress: StepProgress) -> list[Photo]:
    """The pictures of --extra: photos as they are, of clips the frames that show most. Raises UserError for what is neither."""
    from offline.extra_views import MAX_VIEWS
    from perse_live.evaluation.protocol import chosen, survey, varied_frames
    from perse_live.film.reader import open_film
    from perse_live.film.source import looks_like_film
    from perse_live.photo import Photo, load_photo

    pictures: list[Photo] = []
    for path in paths:
        step = f"looking at {path.name}"
        progress(step, 0.0)
        try:
            film = open_film(path)
        except UserError as no_film:
            try:
                pictures.append(load_photo(path))
            except UserError:
                if looks_like_film(path):
                    raise no_film from None
                raise
            for warning in pictures[-1].warnings:
                warn(f"warning: {path.name}: {warning}")
            continue
        stride = max(1, (film.frame_count or 0) // _CLIP_FRAMES)
        seen = survey(
            (frame.image for frame in film.frames() if frame.index % stride == 0),
            interval=float(stride / film.rate),
        )
        # Before the second pass through `frames`, which begins counting again and ends early
        for warning in film.warnings():
            warn(f"warning: {warning}")
        numbers = [stride * k for k in varied_frames(seen, MAX_VIEWS)]
        if not numbers:
            raise UserError(f"{path}: no face in this clip: give one of the person in the photo")
        frames = chosen((frame.image for frame in film.frames()), numbers)
        pictures += [
            Photo(image, "", f"frame {number} of {path.name}")
            for number, image in zip(sorted(numbers), frames, strict=True)
        ]
        progress(step, 1.0)
    return pictures


def named_attributes(text: str) -> tuple[str, ...]:
    """The attribute names of --attributes: none, or names of `registry.named`, separated by commas."""
    from offline.looks.registry import NONE_WORD, named

    return () if text.strip() == NONE_WORD else named([word.strip() for word in text.split(",")])
