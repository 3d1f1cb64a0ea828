"""The ledger of a batch: hashes of finished files, so that they are not made again and no other file is replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from perse_live.batch.table import Row
from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError
from perse_live.files import CREATOR, write_bytes

FILE = "batch.json"
"""Its name in the folder."""
_VERSION = 1
_LARGEST = 256 << 20  # bytes


@dataclass(frozen=True)
class Entry:
    """A finished row."""

    key: str
    """Of `row_key`."""
    files: dict[str, str]
    """SHA-256 by path relative to the folder, with slashes."""
    seconds: float
    warnings: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict[str, float])


def row_key(row: Row, program: str) -> str:
    """SHA-256 of a row's inputs: the photo's content, all other cells, the program and its version."""
    photo = file_hash(row.photo)
    return hashlib.sha256(
        json.dumps([photo, row.name, row.consent, row.looks, row.formats, program]).encode()
    ).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Ledger:
    """The ledger file and the reports of an output folder, rewritten after each change."""

    def __init__(self, folder: Path) -> None:
        """Read what is there. Raises UserError for a file of that name which is something else."""
        self._folder, self._path = folder, folder / FILE
        self.entries: dict[str, Entry] = {}
        self._reports: dict[str, str] = {}
        if self._path.exists():
            self._read()

    def stands(self, name: str, key: str) -> bool:
        """Whether the files of a row exist unchanged."""
        entry = self.entries.get(name)
        return entry is not None and entry.key == key and all(map(self.is_ours, entry.files))

    def is_ours(self, file: str) -> bool:
        """Whether a file of the folder is what a batch wrote there, byte for byte."""
        known = self._reports.get(file) or next(
            (one.files[file] for one in self.entries.values() if file in one.files), None
        )
        path = self._folder / file
        return known is not None and path.is_file() and file_hash(path) == known

    def add(self, name: str, entry: Entry) -> None:
        """Record a finished row."""
        self.entries[name] = entry
        self._write()

    def add_reports(self, names: Iterable[str]) -> None:
        """Record written reports."""
        self._reports.update({name: file_hash(self._folder / name) for name in names})
        self._write()

    def _read(self) -> None:
        wrong = f"{self._path}: not from perse-live batch: move it away, or choose another -o"
        try:
            content = parse_json_object(self._path.read_bytes(), max_bytes=_LARGEST)
        except OSError as error:
            raise UserError(
                f"{self._path} cannot be read ({error.strerror}): choose another -o"
            ) from error
        except CheckedError as error:
            raise UserError(f"{wrong} ({error})") from error
        if (
            not str(content.get("creator", "")).startswith(CREATOR)
            or content.get("version") != _VERSION
        ):
            raise UserError(wrong)
        try:
            rows = cast("Mapping[str, Mapping[str, Any]]", content["rows"])
            self.entries = {
                name: Entry(
                    str(one["key"]),
                    {str(k): str(v) for k, v in one["files"].items()},
                    float(one["seconds"]),
                    tuple(map(str, one["warnings"])),
                    {str(k): float(v) for k, v in one["figures"].items()},
                )
                for name, one in rows.items()
            }
            self._reports = {str(k): str(v) for k, v in content["reports"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(wrong) from error

    def _write(self) -> None:
        content = {
            "creator": CREATOR,
            "version": _VERSION,
            "reports": self._reports,
            "rows": {name: asdict(one) for name, one in self.entries.items()},
        }
        write_bytes(self._path, (json.dumps(content, allow_nan=False, indent=1) + "\n").encode())
