"""`perse-live drive`: an avatar moves as the face in a video."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.cli.console import frame_progress, print_written, step_progress, warn
from perse_live.cli.options import AvatarFile, Network, OutputFile, Replacing, VideoFile
from perse_live.cli.shared import TRACKING_ASSETS, fetch, mark_output, with_side_file
from perse_live.errors import UserError
from perse_live.motion_file import SUFFIX
from perse_live.outputs import check_outputs

_BACKGROUND = "d9dbde"


@dataclass(frozen=True)
class Drive:
    """Write a video of an avatar that moves as the face in another video."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    video: Positional[VideoFile]
    """The video to follow, or motion recorded by live --record ME.motion; the output has its size, frame rate, number of frames
    and sound."""
    output: OutputFile
    """The video to write: .mp4, .mov, .mkv or .webm; with a transparent background .mov or .webm."""
    match: bool = False
    """Self-reenactment: copy the driver's position, pose and absolute expression. Without it the motion is relative to the
    driver's neutral expression, and the avatar stays framed as in its photo."""
    background: str | None = None
    """Background: a colour RRGGBB, the path of a picture, or `alpha`; light grey, or as recorded."""
    attribute: Annotated[tuple[str, ...], arg(metavar="NAME=WEIGHT")] = ()
    """Attributes to apply, such as hair-copper=0.7; weights from 0 to 1."""
    still: bool = False
    """No secondary motion: hair does not swing, and shoulders do not breathe. Always so with --match."""
    no_c2pa: bool = False
    """Do not mark the film as made with an avatar; see docs/marking.md."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Drive) -> None:
    """Write a video of an avatar that follows another video."""
    from perse_live.avatar import load_avatar
    from perse_live.film.writer import check_film_name
    from runtime.attributes import with_fixed_attributes
    from runtime.background import Picture, Transparent, load_background, parse_background
    from runtime.drive import drive_matched, drive_relative

    if command.video.suffix.lower() == SUFFIX:
        _replay(command)
        return
    background = parse_background(command.background or _BACKGROUND)
    check_film_name(command.output, alpha=isinstance(background, Transparent))
    inputs = [
        command.avatar,
        command.video,
        *([background.path] if isinstance(background, Picture) else []),
    ]
    check_outputs(
        with_side_file(command.output, not command.no_c2pa),
        inputs=inputs,
        overwrite=command.replacing.overwrite,
    )
    if isinstance(background, Picture):
        load_background(background, 1, 1)  # whether it can be read, before the film is followed
    avatar = with_fixed_attributes(load_avatar(command.avatar), command.attribute)
    with step_progress() as steps:
        fetch(TRACKING_ASSETS, command.network, steps)
    with frame_progress("driving") as progress:
        if command.match:
            warnings = drive_matched(
                avatar, command.video, command.output, background=background, progress=progress
            )
        else:
            warnings = drive_relative(
                avatar,
                command.video,
                command.output,
                background=background,
                still=command.still,
                progress=progress,
            )
    for warning in warnings:
        warn(f"warning: {warning}")
    print_written("video", command.output)
    if not command.no_c2pa:
        mark_output(command.output, avatar, overwrite=command.replacing.overwrite)


def _replay(command: Drive) -> None:
    """Draw recorded motion again."""
    from perse_live.avatar import load_avatar
    from perse_live.film.writer import check_film_name
    from runtime.attributes import with_fixed_attributes
    from runtime.replay import replay

    if command.match:
        raise UserError("--match goes with a video: recorded motion is drawn as it was")
    check_film_name(command.output, alpha=False)
    check_outputs(
        with_side_file(command.output, not command.no_c2pa),
        inputs=[command.avatar, command.video],
        overwrite=command.replacing.overwrite,
    )
    avatar = with_fixed_attributes(load_avatar(command.avatar), command.attribute)
    with frame_progress("drawing") as progress:
        warnings = replay(
            avatar, command.video, command.output, background=command.background, progress=progress
        )
    for warning in warnings:
        warn(f"warning: {warning}")
    print_written("video", command.output)
    if not command.no_c2pa:
        mark_output(command.output, avatar, overwrite=command.replacing.overwrite)
