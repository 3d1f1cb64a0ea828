"""An avatar in one state as files that other people's programs open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from export.gltf import glb_bytes
from export.ply import ply_bytes
from export.splat import splat_bytes
from export.spz import spz_bytes
from perse_live.errors import UserError
from perse_live.files import write_bytes, write_error
from perse_live.gaussians import Gaussians

FORMATS: Mapping[str, Callable[[Gaussians], bytes]] = MappingProxyType(
    {"ply": ply_bytes, "spz": spz_bytes, "splat": splat_bytes, "glb": glb_bytes}
)
"""How to make each format, by its files' ending."""
WEB = "web"
"""The format that is a folder and moves; `export.web.bundle` writes it."""


def parse_formats(text: str) -> tuple[str, ...]:
    """Formats from names with commas between them, such as "ply,glb", each once.

    Raises UserError for one that is neither in `FORMATS` nor `WEB`, and where there is none.
    """
    known = (*FORMATS, WEB)
    names = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"there is no format {unknown[0][:40]!r}: there are {', '.join(known)}")
    if not names:
        raise UserError(f"no format is named: write --formats {','.join(known)} or some of these")
    return names


def write_interchange(
    gaussians: Gaussians, folder: Path, name: str, formats: Sequence[str]
) -> list[Path]:
    """Write one file for each format, as NAME.FORMAT in a folder that is made where it is missing.

    gaussians: head frame, unit quaternions; formats: of `FORMATS`. Everything is encoded before the first file is
    written, and each file appears whole or not at all. Returns the files.
    Raises UserError where there is nothing to see, a format cannot hold it, or a file cannot be written.
    """
    if not len(gaussians):
        raise UserError(
            "nothing of the avatar can be seen in this state: leave out some attributes"
        )
    contents = {folder / f"{name}.{ending}": FORMATS[ending](gaussians) for ending in formats}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UserError(f"cannot write into {folder}: it is a file: choose a folder") from error
    except OSError as error:
        raise write_error(folder, error) from error
    for path, content in contents.items():
        write_bytes(path, content)
    return list(contents)
