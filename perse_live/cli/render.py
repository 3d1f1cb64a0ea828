"""`perse-live render`: a contact sheet."""

from __future__ import annotations

from dataclasses import dataclass, field

from tyro.conf import OmitArgPrefixes, Positional

from perse_live.cli.console import say_written
from perse_live.cli.options import AvatarFile, OutputFile, Replacing
from perse_live.files import check_picture_name, write_image
from perse_live.outputs import check_outputs


@dataclass(frozen=True)
class Render:
    """Draw a contact sheet of an avatar: turns, expressions, attributes."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    output: OutputFile
    """The picture to write (.png or .jpg)."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)


def run(command: Render) -> None:
    """Draw a contact sheet."""
    from perse_live.avatar import load_avatar
    from runtime.sheet import contact_sheet

    check_picture_name(command.output)
    check_outputs([command.output], inputs=[command.avatar], overwrite=command.replacing.overwrite)
    write_image(command.output, contact_sheet(load_avatar(command.avatar)))
    say_written("contact sheet", command.output)
