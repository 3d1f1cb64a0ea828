"""The library: a folder of avatar files, with names, copies, and a trash from which a deleted avatar comes back.

Clients name avatars by ids. An id is looked up in the listing; it is never used as a path.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import platformdirs

from perse_live.avatar import FORMAT_VERSION, OLDEST_VERSION, load_avatar, save_avatar
from perse_live.container import MAX_FILE_BYTES, read_manifest
from perse_live.errors import UserError
from perse_live.files import write_error
from runtime.studio.names import SUFFIX, clean_name, free_path

_TRASH = ".trash"
_PHOTOS = "photos"  # the folder of photos that users have kept
_NEW = ".new-"  # how names of files begin that a job is still writing
_KEPT_SECONDS = 30 * 86400.0  # that a deleted avatar stays in the trash
_ABANDONED_SECONDS = 86400.0  # after which an unfinished file is from a session that was killed


LIBRARY_VARIABLE = "PERSE_LIVE_LIBRARY"
"""Names another folder for the user's library."""


def default_library() -> Path:
    """The user's library: `~/.local/share/perse-live/avatars` on Linux."""
    if named := os.environ.get(LIBRARY_VARIABLE, ""):
        return Path(named)
    return platformdirs.user_data_path("perse-live", appauthor=False) / "avatars"


@dataclass(frozen=True)
class LookEntry:
    """A look in an avatar's file."""

    name: str
    label: str
    slot: str


@dataclass(frozen=True)
class Entry:
    """An avatar in the library, as described by its file's header."""

    id: str
    name: str
    path: Path
    bytes: int
    version: str
    """Changes whenever the file does."""
    made: str
    """When its person agreed to it, ISO 8601; "" where the file does not say."""
    modified: float
    """Seconds since 1970."""
    likeness: float | None
    """PSNR of the face in the photo's view, dB; None: not measured."""
    warnings: tuple[str, ...]
    """The builder's warnings about the photo."""
    looks: tuple[LookEntry, ...]
    """In the order of the digit keys."""
    face: str
    """The same for all copies of an avatar, whatever looks they have: what is drawn of it without looks may be shared."""
    problem: str
    """"" where it can be used; "old" and "new" for files of other format versions, else "damaged"."""
    upgradable: bool
    """Whether its file is of an older version that can still be read: `Library.upgrade` writes the current one."""
    photo: Path | None
    """The photo that it was built from, where the user has kept that."""


class Library:
    """One folder of avatars; thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing. Raises UserError where it cannot be read."""
        self.folder = folder.absolute()
        self._changing = threading.RLock()
        self._known: dict[Path, tuple[str, Entry]] = {}
        with contextlib.suppress(OSError):  # a library that may only be read is shown all the same
            self.folder.mkdir(parents=True, exist_ok=True)
        if not self.folder.is_dir():
            raise UserError(
                f"the library {self.folder} cannot be used: it is no folder and cannot be made: choose another with"
                " --library"
            )
        self._sweep()

    @property
    def writable(self) -> bool:
        """Whether avatars can be added and changed."""
        return os.access(self.folder, os.W_OK | os.X_OK)

    def entries(self) -> list[Entry]:
        """All avatars, the one changed last first. Raises UserError where the folder cannot be read any more."""
        with self._changing:
            try:
                paths = [
                    one
                    for one in self.folder.iterdir()
                    if one.suffix.lower() == SUFFIX and not one.name.startswith(".")
                ]
            except OSError as error:
                raise UserError(
                    f"the library {self.folder} cannot be read ({error.strerror})"
                ) from error
            found = [entry for path in paths if (entry := self._entry(path)) is not None]
            self._known = {entry.path: (entry.version, entry) for entry in found}
            return sorted(found, key=lambda entry: (-entry.modified, entry.name))

    def get(self, entry_id: str) -> Entry:
        """The avatar of an id. Raises UserError where there is none."""
        found = next((entry for entry in self.entries() if entry.id == entry_id), None)
        if found is None:
            raise UserError(
                "there is no such avatar: it may have been renamed or deleted in another window"
            )
        return found

    def rename(self, entry_id: str, name: str) -> Entry:
        """Give an avatar another name. Raises UserError for a name that cannot be, or is taken."""
        with self._writing():
            entry, name = self.get(entry_id), clean_name(name)
            if name == entry.name:
                return entry
            others = {one.name.casefold() for one in self.entries() if one.id != entry.id}
            target = self.folder / f"{name}{SUFFIX}"
            if name.casefold() in others or (target.exists() and not target.samefile(entry.path)):
                raise UserError(f"there is an avatar named {name} already: choose another name")
            os.replace(entry.path, target)
            if entry.photo is not None:
                os.replace(entry.photo, self.photo_path(name))
            return self._at(target)

    def upgrade(self, entry_id: str) -> Entry:
        """Write an avatar's file in the current version of the format. Raises UserError where it cannot be read."""
        with self._writing():
            entry = self.get(entry_id)
            save_avatar(entry.path, load_avatar(entry.path))
            return self._at(entry.path)

    def photo_path(self, name: str) -> Path:
        """Where the photo of the avatar of a name is kept, whether it is or not; its folder is there unless it cannot be made."""
        folder = self.folder / _PHOTOS
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{name}.jpg"

    def duplicate(self, entry_id: str) -> Entry:
        """Make a copy with a number behind its name."""
        with self._writing():
            entry = self.get(entry_id)
            return self._adopt(self._copied(entry.path), entry.name)

    def delete(self, entry_id: str) -> str:
        """Move an avatar into the trash. Returns what `restore` takes."""
        with self._writing():
            entry = self.get(entry_id)
            trash = self.folder / _TRASH
            trash.mkdir(mode=0o700, exist_ok=True)
            mark = secrets.token_hex(8)
            os.replace(entry.path, trash / f"{mark} {entry.path.name}")
            if entry.photo is not None:
                os.replace(entry.photo, trash / f"{mark} {entry.photo.name}")
            return mark

    def restore(self, mark: str) -> Entry:
        """Bring an avatar back from the trash, under its name or one with a number. Raises UserError where it is gone."""
        with self._writing():
            trash = self.folder / _TRASH
            found = {
                one.suffix.lower(): one
                for one in (trash.iterdir() if trash.is_dir() else ())
                if one.name.partition(" ")[0] == mark
            }
            if SUFFIX not in found:
                raise UserError("it is not in the trash any more")
            name = Path(found[SUFFIX].name.partition(" ")[2]).stem
            entry = self._adopt(found[SUFFIX], name)
            if ".jpg" in found:
                os.replace(found[".jpg"], self.photo_path(entry.name))
            return self._at(entry.path)

    def take_in(self, source: Path, name: str) -> Entry:
        """Copy an avatar file into the library after reading all of it as untrusted input.

        name: for people. Raises UserError for a file that is no usable avatar.
        """
        load_avatar(source)
        with self._writing():
            return self._adopt(self._copied(source), clean_name(name))

    def unfinished(self) -> Path:
        """A path in the library's folder for a file that is not listed until it is adopted."""
        return self.folder / f"{_NEW}{secrets.token_hex(8)}{SUFFIX}"

    def adopt(self, unfinished: Path, name: str) -> Entry:
        """List what was written to a path from `unfinished`, under a name of which there may be another."""
        with self._writing():
            return self._adopt(unfinished, clean_name(name))

    def with_looks(self, entry_id: str, names: Sequence[str]) -> Entry:
        """Keep these of an avatar's looks, in this order, which is that of the digit keys; the others are taken out.

        Raises UserError for a look that it does not have.
        """
        with self._writing():
            entry = self.get(entry_id)
            avatar = load_avatar(entry.path)
            there = {one.name: one for one in avatar.attributes}
            for name in names:
                if name not in there:
                    raise UserError(f"{entry.name} has no look {name[:40]!r}")
            kept = tuple(there[name] for name in dict.fromkeys(names))
            save_avatar(entry.path, replace(avatar, attributes=kept))
            return self._at(entry.path)

    @contextlib.contextmanager
    def _writing(self) -> Generator[None, None, None]:
        """Raises UserError, in place of OSError, where the folder may not be written to or the disk is full."""
        with self._changing:
            try:
                yield
            except OSError as error:
                raise write_error(self.folder, error) from error

    def _adopt(self, path: Path, name: str) -> Entry:
        target = free_path(self.folder, name, [entry.name for entry in self.entries()])
        os.replace(path, target)
        return self._at(target)

    def _copied(self, source: Path) -> Path:
        copy = self.unfinished()
        try:
            shutil.copyfile(source, copy)
            copy.chmod(0o600)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        return copy

    def _at(self, path: Path) -> Entry:
        entry = self._entry(path)
        if entry is None:
            raise UserError(f"{path.stem} has just been taken away")
        return entry

    def _entry(self, path: Path) -> Entry | None:
        try:
            status = path.stat()
        except OSError:  # deleted meanwhile
            return None
        version = f"{status.st_mtime_ns:x}-{status.st_size:x}"
        photo = self.folder / _PHOTOS / f"{path.stem}.jpg"
        kept = photo if photo.is_file() else None
        known = self._known.get(path)
        if known is not None and known[0] == version and known[1].photo == kept:
            return known[1]
        return replace(_described(path, status, version), photo=kept)

    def _sweep(self) -> None:
        """Remove what was deleted long ago, and what sessions that were killed have left."""
        now = time.time()
        for pattern, seconds in ((f"{_TRASH}/*", _KEPT_SECONDS), (f"{_NEW}*", _ABANDONED_SECONDS)):
            for path in self.folder.glob(pattern):
                with contextlib.suppress(OSError):
                    if path.is_file() and path.lstat().st_ctime < now - seconds:
                        path.unlink()


def _described(path: Path, status: os.stat_result, version: str) -> Entry:
    made, likeness, looks, face, warnings = "", None, (), f"{path} {version}", ()
    upgradable = False
    try:
        manifest = read_manifest(path)
        problem = _problem(manifest)
    except UserError:
        manifest, problem = {}, "damaged"
    if status.st_size > MAX_FILE_BYTES:
        problem = "damaged"
    if not problem:
        upgradable = manifest.get("format_version") != FORMAT_VERSION
        provenance = _table(manifest.get("provenance"))
        made = str(provenance.get("consent_at", ""))[:40]
        face = " ".join(
            str(provenance.get(key, ""))
            for key in ("photo_sha256", "consent_at", "creator", "person_psnr")
        )
        value = provenance.get("face_psnr")
        likeness = float(value) if isinstance(value, int | float) else None
        warnings = tuple(str(one)[:400] for one in _list(provenance.get("warnings")))[:20]
        looks = tuple(
            LookEntry(*(str(_table(one).get(key, ""))[:80] for key in ("name", "label", "slot")))
            for one in _list(manifest.get("attributes"))
        )
    return Entry(
        entry_id(path.name),
        path.stem,
        path,
        status.st_size,
        version,
        made,
        status.st_mtime,
        likeness,
        warnings,
        looks,
        hashlib.sha256(face.encode("utf-8", "surrogateescape")).hexdigest()[:24],
        problem,
        upgradable,
        None,
    )


def entry_id(file_name: str) -> str:
    """The id of an avatar, from its file's name."""
    return hashlib.sha256(file_name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _problem(manifest: dict[str, Any]) -> str:
    version = manifest.get("format_version")
    if manifest.get("format") != "perse-live avatar" or not isinstance(version, int):
        return "damaged"
    return "old" if version < OLDEST_VERSION else "new" if version > FORMAT_VERSION else ""


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
