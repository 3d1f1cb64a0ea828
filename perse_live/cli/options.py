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
    """Replace existing files also where perse-live did not write them; never an input of the command."""


@dataclass(frozen=True)
class Page:
    """The live page."""

    host: str = "127.0.0.1"
    """Address to serve the page on; on any that other machines reach a token is asked for."""
    port: int = 8080
    """Port to serve the page on; 0 takes any that is free."""
    no_browser: bool = False
    """Do not open the page in a browser, only say where it is."""
    seconds: float | None = None
    """End by itself after this many seconds; else Ctrl-C ends it."""
