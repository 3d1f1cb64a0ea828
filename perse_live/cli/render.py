"""`perse-live render`: a contact sheet, or a short loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from tyro.conf import OmitArgPrefixes, Positional

from perse_live.cli.console import print_written
from perse_live.cli.options import AvatarFile, OutputFile, Replacing
from perse_live.errors import UserError
from perse_live.files import check_picture_name, write_animation, write_image
from perse_live.outputs import check_outputs


@dataclass(frozen=True)
class Render:
    """Draw a contact sheet of an avatar (turns, expressions, attributes), or a short loop in which it moves."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    output: OutputFile
    """The picture to write (.png, .jpg or .webp); a loop is .webp."""
    expressions: bool = False
    """Draw every facial action at 0, 0.5 and 1 instead of the sheet, with eyes and mouth at twice the size."""
    loop: float | None = None
    """Seconds of an animated picture instead of the sheet, 4 to 60: the avatar performs, and its attributes fade in and out."""
    size: int = 256
    """Width and height of the loop, pixels."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)


def run(command: Render) -> None:
    """Draw a contact sheet or a loop."""
    from perse_live.avatar import load_avatar

    check_picture_name(command.output)
    if command.loop is not None:
        if command.expressions:
            raise UserError("--loop and --expressions: give one of them")
        _check_loop(command, command.loop)
    check_outputs([command.output], inputs=[command.avatar], overwrite=command.replacing.overwrite)
    avatar = load_avatar(command.avatar)
    if command.expressions:
        from runtime.expression_sheet import expression_sheet

        write_image(command.output, expression_sheet(avatar))
        print_written("sheet of expressions", command.output)
        return
    if command.loop is None:
        from runtime.sheet import contact_sheet

        write_image(command.output, contact_sheet(avatar))
        print_written("contact sheet", command.output)
        return
    from runtime.loop import LOOP_FPS, loop_frames

    write_animation(
        command.output, loop_frames(avatar, seconds=command.loop, size=command.size), fps=LOOP_FPS
    )
    print_written("loop", command.output)


def _check_loop(command: Render, seconds: float) -> None:
    if command.output.suffix.lower() != ".webp":
        raise UserError(f"cannot write {command.output}: a loop is an animated WebP: name it .webp")
    if not 4 <= seconds <= 60:
        raise UserError(f"a loop of {seconds:g} seconds cannot be drawn: give --loop 4 to 60")
    if not 64 <= command.size <= 1024:
        raise UserError(f"a loop of {command.size} pixels cannot be drawn: give --size 64 to 1024")
