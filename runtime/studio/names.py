"""Names that people give to avatars, and the file names that these become."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from perse_live.errors import UserError

SUFFIX = ".perse"
_LONGEST = 60  # characters
_LONGEST_BYTES = 200  # of UTF-8; file systems take 255 with the suffix
# By Windows; a library may lie on a disk that goes from system to system
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
# Windows takes these for devices, whatever their suffix
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def clean_name(text: str) -> str:
    """A name as it is stored: Unicode NFC, single spaces, nothing that a file system forbids.

    Raises UserError for a name that nothing is left of, or that is too long.
    """
    composed = unicodedata.normalize("NFC", text)
    printable = "".join(one if one.isprintable() else " " for one in composed)
    name = " ".join(_FORBIDDEN.sub(" ", printable).split()).strip(". ")
    if not name:
        raise UserError("the name is empty: give one of letters or digits")
    if len(name) > _LONGEST or len(name.encode()) > _LONGEST_BYTES:
        raise UserError(f"the name is too long: at most {_LONGEST} characters")
    if _DEVICES.fullmatch(name):
        raise UserError(f"{name} cannot be a file's name on Windows: choose another")
    return name


def file_name(text: str) -> str:
    """A file name that every system takes, like the one that a user's file has. text: that name, whatever it may be."""
    given = Path(text.replace("\\", "/")).name
    stem, dot, suffix = given.rpartition(".")
    try:
        name = clean_name((stem if dot else given)[:_LONGEST])
    except UserError:
        name = "photo"
    return f"{name}.{suffix}" if dot and suffix.isascii() and suffix.isalnum() else name


def free_path(folder: Path, name: str, taken: Iterable[str]) -> Path:
    """A path in a folder for a new avatar: under its name, or with the first free number behind it: "Ada 2".

    name: from `clean_name`; taken: names that are in use; upper and lower case count as the same, as on Windows and macOS.
    """
    used = {one.casefold() for one in taken}
    candidate, number = name, 1
    while candidate.casefold() in used or (folder / f"{candidate}{SUFFIX}").exists():
        number += 1
        candidate = f"{name[: _LONGEST - len(str(number)) - 1].rstrip()} {number}"
    return folder / f"{candidate}{SUFFIX}"
