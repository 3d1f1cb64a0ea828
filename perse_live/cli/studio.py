"""`perse-live studio`, and `perse-live` alone: make, edit and store avatars in the page."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, arg

from perse_live.cli.console import say, step_progress, warn
from perse_live.cli.options import Network, Page
from perse_live.cli.shared import TRACKING_ASSETS, fetch
from perse_live.memory import keep_heap_small

if TYPE_CHECKING:
    from runtime.live.settings import Settings
    from runtime.studio.studio import StudioOptions


@dataclass(frozen=True)
class Studio:
    """Make avatars from a photo or your camera, add looks, store them and go live, all in the page."""

    library: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder of your avatars; else the one named by PERSE_LIVE_LIBRARY, or the default folder in your user data."""
    camera: str = "browser"
    """Where the motion comes from: `browser` (the page's camera), a camera's number, a video file, `vmc` or `none`."""
    token_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """A file whose first line is the token that every request must carry."""
    cert: Path | None = None
    """Certificate (PEM) for TLS: browsers give their camera only to this machine's pages, or over TLS."""
    key: Path | None = None
    """The certificate's key (PEM)."""
    settings: Annotated[Path | None, arg(metavar="FILE")] = None
    """A settings file other than the usual one (perse-live doctor says where that is)."""
    page: OmitArgPrefixes[Page] = field(default_factory=Page)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Studio) -> None:
    """Run the studio until it ends."""
    keep_heap_small()
    from runtime.live.run import LiveOptions, run_live, web_config
    from runtime.live.settings import load_settings
    from runtime.web.security import read_token
    from runtime.web.server import WebConfig

    settings, page = load_settings(command.settings), command.page
    token = None if command.token_file is None else read_token(command.token_file)
    web = web_config(
        WebConfig(host=page.host, port=page.port, token=token, cert=command.cert, key=command.key),
        settings,
        codec=None,
        bitrate=None,
        ice=(),
    )
    with step_progress() as progress:
        fetch(TRACKING_ASSETS, command.network, progress)
    options = LiveOptions(
        (),
        camera=command.camera,
        threads=min(os.cpu_count() or 1, 4),
        hotkeys=False,
        browser=not page.no_browser,
        seconds=page.seconds,
        web=web,
        remember=True,
        studio=studio_options(command.library, page, settings, command.settings),
    )
    run_live(options, settings, say=say, warn=warn)


def studio_options(
    library: Path | None, page: Page, settings: Settings, settings_file: Path | None
) -> StudioOptions:
    """What the page needs to know of the library and the builder. library, settings_file: None for the usual ones."""
    from offline.looks.registry import DEFAULT, TITLES
    from runtime.live.settings import settings_path
    from runtime.studio.library import default_library
    from runtime.studio.studio import StudioOptions
    from runtime.web.security import is_loopback

    return StudioOptions(
        library or default_library(),
        TITLES,
        DEFAULT,
        pages_are_local=is_loopback(page.host),
        text_model=settings.text_model,
        settings=str(settings_file or settings_path()),
    )
