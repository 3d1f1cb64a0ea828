"""Checks of output paths, made before the work: no input and no file of the user's is overwritten, and no work is in vain.

A file counts as written by perse-live if it says so itself: avatars and engine folders by their format, pictures by the EXIF tag
Software, films by their tag `comment`, files for other programs where their format has room for it. Names prove nothing.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import tempfile
from collections.abc import Collection, Container, Sequence
from pathlib import Path
from typing import cast

from av.error import FFmpegError
from PIL import Image, UnidentifiedImageError

from perse_live.container import has_manifest
from perse_live.errors import UserError
from perse_live.files import CREATOR, SOFTWARE_TAG, write_error
from perse_live.film.source import open_container
from perse_live.motion_file import MAGIC as MOTION_MAGIC

_PICTURES = ("PNG", "JPEG", "WEBP")
_MAX_READ = 1 << 20  # bytes; more than any of our headers and JSON files has
_GZIP_WITH_NAME = b"\x1f\x8b\x08\x08"  # the compressed file's name follows at byte 10 (RFC 1952)
_PLY_COMMENT = f"comment {CREATOR}".encode()


def check_outputs(
    outputs: Sequence[Path], *, inputs: Sequence[Path], overwrite: bool = False
) -> None:
    """Check that files can be written without losing anything.

    outputs: what will be written; inputs: what is read in the same run. Existing outputs are replaced where perse-live wrote
    them or they are empty, others only with `overwrite`; an input never is, under whatever name or link. Raises UserError,
    naming the file, where a folder is missing, something may not be written, or would be lost.
    """
    for path in outputs:
        for one in inputs:
            if _same_file(path, one):
                raise UserError(
                    f"cannot write {path}: it is the input {one}: choose another output"
                )
        check_writable(path)
        if not overwrite and not _replaceable(path):
            raise UserError(
                f"cannot write {path}: a file of that name is there, and it does not say that perse-live wrote it:"
                " choose another name, or add --overwrite to replace it"
            )


def check_output_folder(
    folder: Path, names: Sequence[str], *, inputs: Sequence[Path], overwrite: bool = False
) -> None:
    """As `check_outputs`, for files of these names in a folder that is made where it is missing."""
    if folder.is_dir():
        _try_to_write(folder, folder)
        check_outputs([folder / name for name in names], inputs=inputs, overwrite=overwrite)
        return
    existing = next(one for one in folder.absolute().parents if os.path.lexists(one))
    if os.path.lexists(folder) or not existing.is_dir():
        raise UserError(f"cannot write into {folder}: it is a file, or in one: choose a folder")
    _try_to_write(existing, folder)


def check_replaced_folder(
    folder: Path, names: Collection[str], *, inputs: Sequence[Path], overwrite: bool = False
) -> None:
    """Check that nothing is lost by replacing a whole folder that perse-live wrote.

    names: of the files that perse-live puts there. Raises UserError where an input lies in it, or another file does and
    `overwrite` is false.
    """
    for one in inputs:
        if _real(folder) in _real(one).parents:
            raise UserError(
                f"cannot replace {folder}: the input {one} is in it: choose another output"
            )
    if folder.is_dir() and not overwrite:
        others = sorted(one.name for one in folder.iterdir() if one.name not in names)
        if others:
            raise UserError(
                f"cannot replace {folder}: {others[0]} in it is not from perse-live: move it away, choose another -o,"
                " or add --overwrite"
            )


def free_side_file(wish: Path, *, inputs: Sequence[Path]) -> Path:
    """A free name for an additional output, such as the contact sheet ME.png of ME.perse.

    `wish`, where it is free or perse-live wrote it; else ME.sheet.png, ME.sheet-2.png and so on.
    """
    candidates = itertools.chain(
        [wish],
        (
            wish.with_name(f"{wish.stem}.sheet{'' if number == 1 else f'-{number}'}{wish.suffix}")
            for number in itertools.count(1)
        ),
    )
    return next(
        one
        for one in candidates
        if _replaceable(one) and not any(_same_file(one, read) for read in inputs)
    )


def free_name(wish: Path, *suffixes: str, taken: Container[Path] = ()) -> Path:
    """ME.perse, else ME-2.perse and so on: the first for which nothing is there, not even a link that leads nowhere.

    suffixes: others under which nothing may be there either. taken: names that do not exist yet, but will.
    """
    names = itertools.chain(
        [wish],
        (wish.with_name(f"{wish.stem}-{number}{wish.suffix}") for number in itertools.count(2)),
    )
    return next(
        one
        for one in names
        if one not in taken
        and not any(os.path.lexists(one.with_suffix(suffix)) for suffix in (one.suffix, *suffixes))
    )


def check_writable(path: Path) -> None:
    """Raises UserError where a file cannot be written: its folder is missing or protected, or its name cannot be a file's."""
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise write_error(path, error) from error
    else:
        if path.is_dir():
            raise write_error(path, OSError(errno.EISDIR, "")) from None
        if path.exists() and not path.is_file():
            raise UserError(f"cannot write {path}: it is no ordinary file: choose another name")
        if path.exists() and not os.access(path, os.W_OK):
            raise write_error(path, OSError(errno.EACCES, ""))
    if not path.parent.is_dir():
        raise write_error(
            path, OSError(errno.ENOTDIR if path.parent.exists() else errno.ENOENT, "")
        )
    _try_to_write(path.parent, path)


def written_by_us(path: Path) -> bool:
    """Whether a file says that perse-live wrote it. Anything that cannot be read does not."""
    try:
        with path.open("rb") as file:
            head = file.read(_MAX_READ)
    except OSError:
        return False
    if head[:4] in (b"\x89PNG", b"RIFF") or head[:2] == b"\xff\xd8":
        return _picture_says_so(path)
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        return _film_says_so(path)
    if head.startswith(MOTION_MAGIC):
        return True
    if head[:4] == b"ply\n":
        return _PLY_COMMENT in head.partition(b"end_header")[0].splitlines()
    if head[:4] == b"glTF":
        return _json_says_so(
            head[20 : 20 + int.from_bytes(head[12:16], "little")], ("asset", "generator")
        )
    if head[:4] == _GZIP_WITH_NAME:
        return head[10:].startswith(CREATOR.encode() + b"\0")
    if head[:1] == b"{":
        return _json_says_so(head, ("creator",))
    return has_manifest(path)


def _replaceable(path: Path) -> bool:
    return not os.path.lexists(path) or (
        path.is_file() and (path.stat().st_size == 0 or written_by_us(path))
    )


def _same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file: by links of both kinds too, and in folders that take ME.PNG for me.png."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return _real(one) == _real(other)


def _real(path: Path) -> Path:
    """Where a path leads. Unlike `Path.resolve` until Python 3.12 this does not raise RuntimeError for a link to itself."""
    return Path(os.path.realpath(path))


def _try_to_write(folder: Path, target: Path) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".perse-live-"):
            pass
    except OSError as error:
        raise write_error(target, error) from error


def _picture_says_so(path: Path) -> bool:
    try:
        with Image.open(path, formats=_PICTURES) as image:
            return str(image.getexif().get(SOFTWARE_TAG, "")).startswith(CREATOR)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _film_says_so(path: Path) -> bool:
    try:
        with open_container(path) as film:
            return any(
                key.lower() == "comment" and text.startswith(CREATOR)
                for key, text in film.metadata.items()
            )
    except (FFmpegError, OSError, ValueError):
        return False


def _json_says_so(text: bytes, keys: Sequence[str]) -> bool:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return False
    for key in keys:
        if not isinstance(value, dict):
            return False
        value = cast("dict[str, object]", value).get(key)
    return isinstance(value, str) and value.startswith(CREATOR)
