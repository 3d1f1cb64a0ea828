"""Atomic writing of files, folders and pictures; hashes of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError, one_line

if TYPE_CHECKING:
    from av.error import FFmpegError

_CANNOT_WRITE = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your disk quota is used up: free some space",
    errno.EFBIG: "the file is too large for this file system: choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "permission denied: choose another folder or change its permissions",
    errno.EPERM: "permission denied: choose another folder or change its permissions",
    errno.ENOENT: "the folder does not exist: create it or choose another",
    errno.ENOTDIR: "the folder is a file: choose another",
    errno.EISDIR: "there is a folder of that name: choose another name",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}
CREATOR = "perse-live"
"""What the files that perse-live writes say of their creator; `perse_live.outputs` looks for it."""
SOFTWARE_TAG = 0x0131
"""The EXIF tag that names a picture's creator."""
_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
_BLOCK = 1 << 20  # bytes read at once
_MARK_BYTES = 6  # of the random part of a temporary file's name
_TEMPORARY = re.compile(rf"\..*\.[0-9a-f]{{{2 * _MARK_BYTES}}}\.part(\.[^.]+)?")
_ABANDONED_SECONDS = 3600.0  # since a temporary file was written to; a film's grows all the time
_EVERYONE, _OWNER_ONLY = 0o666, 0o600  # permissions; the system's umask takes from the former
_PAUSES = (0.01, 0.05, 0.2, 0.5)  # seconds between tries to replace an open file on Windows
_WHILE_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_output(target: Path, *, private: bool = False) -> Generator[Path, None, None]:
    """Yield a temporary path next to `target` to write to; renamed to `target` when the block ends without an exception.

    target: the file to make or to replace. Its folder must exist. private: a new file is for its owner only; an earlier file's
    permissions stay as they are in any case.
    Yields a path in the same folder with the same suffix (so that encoders recognise the format); an empty file is there already.
    What an earlier run that was killed has left in that folder is removed after an hour.
    On any exception, Ctrl-C included, the temporary file is removed and an earlier file under the target's name stays as it was.
    Raises UserError when the target cannot be written or the disk fills up while the block writes.
    """
    if target.is_dir():
        raise UserError(f"cannot write {target}: {_CANNOT_WRITE[errno.EISDIR]}")
    _sweep(target.parent)
    temporary = target.with_name(
        f".{target.stem[:40]}.{secrets.token_hex(_MARK_BYTES)}.part{target.suffix}"
    )
    try:
        mode = (
            stat.S_IMODE(target.stat().st_mode)
            if target.exists()
            else _OWNER_ONLY
            if private
            else None
        )
        # from the start no more open than it will be
        os.close(
            os.open(
                temporary,
                os.O_CREAT | os.O_EXCL | os.O_WRONLY,
                _EVERYONE if mode is None else _OWNER_ONLY,
            )
        )
    except OSError as error:
        raise write_error(target, error) from error
    try:
        try:
            yield temporary
        except OSError as error:
            if error.errno in _WHILE_WRITING:
                raise write_error(target, error) from error
            raise
        try:
            _flush_to_disk(temporary)
            if mode is not None:
                temporary.chmod(mode)
            _replace(temporary, target)
        except OSError as error:
            raise write_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _replace(temporary: Path, target: Path) -> None:
    """Rename, also over a file that another program has open for a moment.

    Windows refuses that while the file is open anywhere, as in a virus scanner or a preview; elsewhere nothing waits.
    """
    for pause in _PAUSES if sys.platform == "win32" else ():
        try:
            os.replace(temporary, target)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(temporary, target)


@contextmanager
def atomic_folder(target: Path) -> Generator[Path, None, None]:
    """Yield an empty temporary folder next to `target`; it replaces `target` when the block ends without an exception.

    target: the folder to make or to replace; the caller checks whether it may be replaced. Parent folders are created.
    On any exception the temporary folder is removed and an earlier one stays as it was; leftovers of killed processes are
    removed as by `atomic_output`. Raises UserError when the folder cannot be written or the disk fills up while the block writes.
    """
    mark = secrets.token_hex(_MARK_BYTES)
    staging, before = (
        target.with_name(f".{target.name[:40]}.{mark}.{kind}") for kind in ("part", "old")
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        staging.mkdir()
        yield staging
        if target.exists():
            target.rename(before)
        staging.rename(target)
    except OSError as error:
        if before.exists() and not target.exists():
            before.rename(target)
        raise write_error(target, error) from error
    finally:
        for left in (staging, before):
            shutil.rmtree(left, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove temporary files and folders that nobody has written to for an hour: the process that made them was killed."""
    oldest = time.time() - _ABANDONED_SECONDS
    with contextlib.suppress(OSError):
        for path in folder.glob(".*.part*"):
            with contextlib.suppress(OSError):
                if (
                    not _TEMPORARY.fullmatch(path.name)
                    or path.is_symlink()
                    or path.stat().st_mtime >= oldest
                ):
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def write_bytes(target: Path, content: bytes, *, private: bool = False) -> None:
    """Write a whole file atomically; see `atomic_output`.

    Raises UserError when the target cannot be written.
    """
    with atomic_output(target, private=private) as temporary:
        temporary.write_bytes(content)


def write_image(target: Path, image: UInt8Array) -> None:
    """Write a picture atomically, as PNG, JPEG or WebP by its name's ending; it says that perse-live wrote it.

    image: (H, W, 3) RGB or, not for JPEG, (H, W, 4) RGBA with straight alpha.
    Raises UserError when the ending is another one or the target cannot be written.
    """
    check_picture_name(target)
    exif = Image.Exif()
    exif[SOFTWARE_TAG] = CREATOR
    with atomic_output(target) as temporary:
        Image.fromarray(image).save(temporary, quality=92, exif=exif)


def write_animation(target: Path, frames: Iterable[UInt8Array], *, fps: int) -> None:
    """Write a WebP picture that moves for ever, atomically; it says that perse-live wrote it.

    frames: (H, W, 3) RGB each, at least one. Raises UserError when the target cannot be written.
    """
    exif = Image.Exif()
    exif[SOFTWARE_TAG] = CREATOR
    pictures = map(Image.fromarray, frames)
    first = next(pictures)
    with atomic_output(target) as temporary:
        first.save(
            temporary,
            "WEBP",
            save_all=True,
            append_images=pictures,
            duration=round(1000 / fps),
            loop=0,
            quality=72,
            exif=exif,
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text. Raises OSError where it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_picture_name(target: Path) -> None:
    """Raises UserError where `write_image` does not know the name's ending."""
    if target.suffix.lower() not in _PICTURE_SUFFIXES:
        raise UserError(f"cannot write {target}: name the picture .png, .jpg or .webp")


def _flush_to_disk(path: Path) -> None:
    """Wait until the bytes are stored: some file systems report a full disk only now."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_error(target: Path, error: OSError | FFmpegError) -> UserError:
    """Why a file could not be written, and what to do, from the system's error or FFmpeg's."""
    reason = _CANNOT_WRITE.get(error.errno or 0)
    if reason is None and not isinstance(error, OSError):
        reason = f"encoding has failed ({one_line(error.strerror)}): try again, or give it another ending, such as .mkv"
    reason = reason or error.strerror or str(error)
    if isinstance(error, PermissionError) and sys.platform == "win32":
        reason += ", or close the program that has the file open"
    return UserError(f"cannot write {target}: {reason}")
