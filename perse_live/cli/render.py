"""`perse-live render`: a contact sheet."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional

from perse_live.cli.console import say_written
from perse_live.cli.options import AvatarFile, OutputFile
from perse_live.files import write_image


@dataclass(frozen=True)
class Render:
    """Draw a contact sheet of an avatar: turns, expressions, attributes."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    output: OutputFile
    """The picture to write (.png or .jpg)."""


def run(command: Render) -> None:
    """Draw a contact sheet."""
    from perse_live.avatar import load_avatar
    from runtime.sheet import contact_sheet

    write_image(command.output, contact_sheet(load_avatar(command.avatar)))
    say_written("contact sheet", command.output)
