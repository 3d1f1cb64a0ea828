"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

PhotoFile = Annotated[Path, arg(metavar="PHOTO")]
AvatarFile = Annotated[Path, arg(metavar="AVATAR")]
VideoFile = Annotated[Path, arg(metavar="VIDEO")]
OutputFile = Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
JsonSwitch = Annotated[bool, arg(name="json")]


@dataclass(frozen=True)
class Network:
    """Downloads."""

    offline: bool = False
    """Forbid all downloads; model files must then be in the cache, or in the folder that PERSE_LIVE_ASSETS names."""


@dataclass(frozen=True)
class Replacing:
    """Replacing files."""

    overwrite: bool = False
    """Also replace existing files that perse-live did not write; never an input of the command."""


@dataclass(frozen=True)
class Page:
    """The live page."""

    host: str = "127.0.0.1"
    """Address to serve the page on; addresses that other machines can reach require a token."""
    port: int = 8080
    """Port to serve the page on; 0: any free port."""
    no_browser: bool = False
    """Do not open the page in a browser, only print its address."""
    seconds: float | None = None
    """End after this many seconds; by default only by Ctrl-C."""
