"""`perse-live demo`: an avatar of the sample portrait, alive in the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg

from perse_live.assets import asset_path
from perse_live.cli.build import build_to
from perse_live.cli.console import frame_progress, print_written, say, step_progress, warn
from perse_live.cli.options import Network, Page, Replacing
from perse_live.cli.shared import fetch, mark_output, require_builder, with_side_file
from perse_live.cli.studio import studio_options
from perse_live.memory import keep_heap_small
from perse_live.outputs import check_outputs, free_name


@dataclass(frozen=True)
class Demo:
    """Build an avatar from the sample portrait and let it perform in the live page: no camera and no file needed."""

    output: Annotated[Path | None, arg(aliases=["-o"], metavar="OUT")] = None
    """Also write the performance to this video; the avatar (.perse) and a contact sheet (.png) are written next to it.
    Without it the avatar goes into your library, as Astronaut. Names that are taken get a number."""
    library: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder of your avatars; else the usual one, see perse-live studio."""
    film_seconds: float = 15.0
    """Length of the video, if one is written; from 15 on it shows everything the avatar has."""
    fps: float = 30.0
    """Frames per second of the video."""
    size: int = 512
    """Width and height of the video, pixels."""
    no_c2pa: bool = False
    """Do not mark films as made with an avatar; see docs/marking.md."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)
    page: OmitArgPrefixes[Page] = field(default_factory=Page)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Demo) -> None:
    """Build the sample avatar, film it where wished, and open the live page."""
    from perse_live.film.writer import check_film_name
    from runtime.live.run import PERFORMANCE, LiveOptions, check_options, run_live
    from runtime.live.settings import load_settings
    from runtime.perform import perform
    from runtime.performance import performance
    from runtime.studio.library import Library
    from runtime.studio.names import free_path
    from runtime.web.server import WebConfig

    require_builder()
    settings = load_settings()
    page = command.page
    # first, so that an impossible wish costs no build
    check_options(LiveOptions((), seconds=page.seconds))
    frames = () if command.output is None else performance(command.film_seconds, command.fps)
    studio = studio_options(command.library, page, settings, None)
    if command.output is None:
        library = Library(studio.library)
        avatar_path = free_path(
            library.folder, "Astronaut", [entry.name for entry in library.entries()]
        )
        outputs = [avatar_path]
    else:
        check_film_name(command.output)
        avatar_path = free_name(command.output.with_suffix(".perse"))
        outputs = [*with_side_file(command.output, not command.no_c2pa), avatar_path]
    check_outputs(outputs, inputs=(), overwrite=command.replacing.overwrite)
    with step_progress() as progress:
        fetch(("sample_portrait",), command.network, progress)
    build_to(
        avatar_path,
        asset_path("sample_portrait"),
        "NASA, by releasing the portrait to the public",
        command.network,
        attributes="default",
        sheet=command.output is not None,
    )
    if command.output is not None:
        from perse_live.avatar import load_avatar

        with frame_progress("performing") as progress:
            avatar = load_avatar(avatar_path)
            perform(
                avatar,
                frames,
                command.output,
                fps=command.fps,
                size=command.size,
                progress=progress,
            )
        print_written("video", command.output)
        if not command.no_c2pa:
            mark_output(command.output, avatar, overwrite=command.replacing.overwrite)
    options = LiveOptions(
        (avatar_path,),
        camera=PERFORMANCE,
        hotkeys=False,
        browser=not page.no_browser,
        seconds=page.seconds,
        background="photo",
        mark=not command.no_c2pa,
        studio=studio,
        web=WebConfig(host=page.host, port=page.port),
    )
    keep_heap_small()
    run_live(options, settings, say=say, warn=warn)
