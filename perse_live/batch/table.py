"""The table of a batch: CSV with the columns photo, name, consent and, where wanted, looks and formats."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perse_live.errors import UserError

REQUIRED = ("photo", "name", "consent")
OPTIONAL = ("looks", "formats")
_LARGEST_TABLE = 16 << 20  # bytes
_MAX_ROWS = 100_000
_NAME = re.compile(r"\w(?:[\w .-]{0,58}[\w-])?")
# Windows takes these for devices, whatever their suffix
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_YES = ("yes", "y", "true")
_NO = ("", "no", "n", "false", "0", "none", "-", "?", "unknown")
_SEPARATORS = re.compile(r"[\s,;|]+")

Words = Callable[[Sequence[str]], tuple[str, ...]]
"""Parses the words of a cell; raises UserError for an unknown one."""


@dataclass(frozen=True)
class Row:
    """A valid row."""

    line: int
    """Line in the file, from 1."""
    photo: Path
    name: str
    """Of the avatar's files, without suffix."""
    consent: str
    """Who declared that the person agrees, and how; for the avatar's file."""
    looks: tuple[str, ...]
    formats: tuple[str, ...]


@dataclass(frozen=True)
class Refused:
    """An invalid row."""

    line: int
    photo: str
    name: str
    reason: str
    """One line: what is wrong, and what to do."""


def read_table(
    path: Path, *, declared_by: str, looks: Words, formats: Words
) -> tuple[list[Row], list[Refused]]:
    """The valid and the invalid rows of a CSV file.

    Commas or semicolons between the cells, UTF-8 with or without a byte order mark; photos are relative to the file's folder.
    declared_by: who declares consent where a row says only yes. looks, formats: parsers of these columns; empty cells give an
    empty list.
    Raises UserError where the file cannot be read, is no table, or has other columns.
    """
    text = _text_of(path)
    first = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=";" if ";" in first and "," not in first else ",",
        strict=True,
    )
    rows: list[Row] = []
    refused: list[Refused] = []
    try:
        columns = _columns(path, next(reader, []))
        taken: dict[str, int] = {}
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(rows) + len(refused) >= _MAX_ROWS:
                raise UserError(f"{path}: more than {_MAX_ROWS} rows: split the table")
            line = reader.line_num
            found = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
            try:
                if len(cells) > len(columns):
                    raise UserError(
                        f"it has {len(cells)} cells for {len(columns)} columns: put quotes around cells with commas"
                    )
                row = _row(line, found, path.parent, declared_by, looks, formats)
                if (other := taken.setdefault(row.name.casefold(), line)) != line:
                    raise UserError(
                        f"line {other} has the name {row.name} too: choose another (upper and lower case count as the"
                        " same)"
                    )
                rows.append(row)
            except UserError as error:
                refused.append(
                    Refused(line, found.get("photo", ""), found.get("name", ""), str(error))
                )
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: not CSV ({error}): save it as comma-separated values"
        ) from error
    if not rows and not refused:
        raise UserError(
            f"{path}: it has no rows: add one for each photo below {','.join(REQUIRED)}"
        )
    return rows, refused


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_TABLE + 1)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give a CSV file with the columns"
            f" {','.join(REQUIRED)}"
        ) from error
    if len(content) > _LARGEST_TABLE:
        raise UserError(f"{path}: larger than {_LARGEST_TABLE >> 20} MiB: split the table")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8: save it as CSV UTF-8") from error


def _columns(path: Path, heads: Sequence[str]) -> list[str]:
    names = [head.strip().lower() for head in heads]
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown or len(set(names)) < len(names):
        what = (
            f"there is no column {missing[0]}"
            if missing
            else (f"unknown column {unknown[0][:40]!r}" if unknown else "a column stands twice")
        )
        raise UserError(
            f"{path}: {what}: the first line names the columns {','.join(REQUIRED)} and, where wanted,"
            f" {','.join(OPTIONAL)}"
        )
    return names


def _row(
    line: int, cells: dict[str, str], folder: Path, declared_by: str, looks: Words, formats: Words
) -> Row:
    """A row from its cells. Raises UserError for what is wrong with it."""
    name = unicodedata.normalize("NFC", cells.get("name", ""))
    if not _NAME.fullmatch(name) or _DEVICES.fullmatch(name):
        raise UserError(
            f"{name[:60]!r} cannot be a name: use up to 60 letters, digits, blanks, dots, _ and -, beginning with a"
            " letter or digit"
        )
    consent = cells.get("consent", "")
    if consent.lower() in _NO or not consent.isprintable():
        raise UserError(
            "nothing is made without consent: write yes, or the words to keep, such as: signed form of 3 May"
        )
    if not cells.get("photo"):
        raise UserError("no photo is named")
    photo = folder / cells["photo"]
    if not photo.is_file():
        raise UserError(f"{photo}: no such file")
    return Row(
        line,
        photo,
        name,
        declared_by if consent.lower() in _YES else consent,
        looks(_words(cells.get("looks", ""))),
        formats(_words(cells.get("formats", ""))),
    )


def _words(cell: str) -> list[str]:
    return [word for word in _SEPARATORS.split(cell) if word]
