"""`perse-live attribute`: what an avatar can fade into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitSubcommandPrefixes, Positional, arg, subcommand

from perse_live.cli.console import print_json, printable, say_written, step_progress, warn
from perse_live.cli.options import AvatarFile, JsonSwitch, OutputFile
from perse_live.cli.shared import without_offline
from perse_live.errors import UserError
from perse_live.files import write_image

if TYPE_CHECKING:
    from perse_live.avatar import Avatar


@dataclass(frozen=True)
class AttributeList:
    """Say which attributes an avatar has, and which could be added."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    json: JsonSwitch = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class AttributeAdd:
    """Add built-in attributes to an avatar; one that it has already is made anew."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse), which is rewritten."""
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME")]
    """Such as beard-full; `default` and `all` stand for many."""


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


@dataclass(frozen=True)
class Attributes:
    """See, add, remove or preview what an avatar can fade into: beards, glasses, hats, make-up, colours, shapes."""

    do: OmitSubcommandPrefixes[
        Annotated[AttributeList, subcommand("list")]
        | Annotated[AttributeAdd, subcommand("add")]
        | Annotated[AttributeRemove, subcommand("remove")]
        | Annotated[AttributePreview, subcommand("preview")]
    ]


def run(command: Attributes) -> None:
    """See, add, remove or preview attributes."""
    match command.do:
        case AttributeList():
            _list_attributes(command.do)
        case AttributeAdd():
            _add_attributes(command.do)
        case AttributeRemove():
            _remove_attributes(command.do)
        case AttributePreview():
            _preview_attributes(command.do)


def _list_attributes(command: AttributeList) -> None:
    from offline.attributes.registry import TITLES
    from perse_live.avatar import load_avatar

    avatar = load_avatar(command.avatar)
    there = [{"name": one.name, "label": one.label, "slot": one.slot, "key": key, "gaussians": len(one.added)}
             for key, one in enumerate(avatar.attributes, 1)]
    names = {one.name for one in avatar.attributes}
    possible = [{"name": name, "label": label, "slot": slot} for name, (label, slot) in TITLES.items() if name not in names]
    if command.json:
        print_json({"file": str(command.avatar), "attributes": there, "available": possible})
        return
    print(f"in {printable(str(command.avatar))}:" if there else f"none in {printable(str(command.avatar))}")
    for one in there:
        print(f"{one['key']:>4}  {one['name']:<20} {printable(str(one['label'])):<26} {one['slot']}")
    if possible:
        print("can be added:")
    for one in possible:
        print(f"{'':>4}  {one['name']:<20} {one['label']:<26} {one['slot']}")


def _add_attributes(command: AttributeAdd) -> None:
    from offline.attributes.registry import named
    from perse_live.avatar import load_avatar, save_avatar

    names = named(_some(command.names, "default"))
    avatar = load_avatar(command.avatar)
    try:
        from offline.attributes.edit import with_built_in

        with step_progress() as progress:
            avatar, complaints = with_built_in(avatar, names, progress=progress)
    except ModuleNotFoundError as error:
        raise without_offline(error) from error
    save_avatar(command.avatar, avatar)
    for complaint in complaints:
        warn(f"warning: {complaint}")
    _say_attributes(command.avatar, avatar)


def _remove_attributes(command: AttributeRemove) -> None:
    from offline.attributes.edit import without
    from offline.attributes.registry import ALL_WORD
    from perse_live.avatar import load_avatar, save_avatar

    names = _some(command.names, "beard-full")
    avatar = load_avatar(command.avatar)
    fewer = without(avatar, [one.name for one in avatar.attributes] if names == (ALL_WORD,) else names)
    save_avatar(command.avatar, fewer)
    _say_attributes(command.avatar, fewer)


def _preview_attributes(command: AttributePreview) -> None:
    from perse_live.avatar import load_avatar
    from runtime.attribute_sheet import attribute_sheet

    avatar = load_avatar(command.avatar)
    if not avatar.attributes:
        raise UserError(f"{command.avatar} has no attributes: perse-live attribute add {command.avatar} default")
    write_image(command.output, attribute_sheet(avatar, avatar.attributes))
    say_written("attribute sheet", command.output)


def _some(names: tuple[str, ...], example: str) -> tuple[str, ...]:
    if not names:
        raise UserError(f"no attribute is named: give names such as {example}; perse-live attribute list shows them")
    return names


def _say_attributes(path: Path, avatar: Avatar) -> None:
    print(f"{printable(str(path))} ({path.stat().st_size / 1e6:.1f} MB):"
          f" {', '.join(one.name for one in avatar.attributes) or 'no attributes'}")
