"""Writing files so that nothing half-written is ever left under the output's name."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError

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
_WHILE_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_output(target: Path) -> Generator[Path, None, None]:
    """Lend a path beside `target` to write to; it gets the target's name only when the block ends well.

    target: the file to make or to replace. Its folder must exist.
    Yields a path in the same folder with the same suffix (so that encoders recognise the format); an empty file is there already.
    On any exception, Ctrl-C included, the temporary file is removed and an earlier file under the target's name stays as it was.
    Raises UserError when the target cannot be written or the disk fills up while the block writes.
    """
    if target.is_dir():
        raise UserError(f"cannot write {target}: {_CANNOT_WRITE[errno.EISDIR]}")
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(6)}.part{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
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
            os.replace(temporary, target)
        except OSError as error:
            raise write_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write a whole file atomically.

    Raises UserError when the target cannot be written.
    """
    with atomic_output(target) as temporary:
        temporary.write_bytes(content)


def write_image(target: Path, image: UInt8Array) -> None:
    """Write a picture atomically, as PNG, JPEG or WebP by its name's ending; it says that perse-live wrote it.

    image: (H, W, 3) RGB or, not for JPEG, (H, W, 4) RGBA with straight alpha.
    Raises UserError when the ending is another one or the target cannot be written.
    """
    if target.suffix.lower() not in _PICTURE_SUFFIXES:
        raise UserError(f"cannot write {target}: name the picture .png, .jpg or .webp")
    exif = Image.Exif()
    exif[SOFTWARE_TAG] = CREATOR
    with atomic_output(target) as temporary:
        Image.fromarray(image).save(temporary, quality=92, exif=exif)


def _flush_to_disk(path: Path) -> None:
    """Wait until the bytes are stored: some file systems report a full disk only now."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_error(target: Path, error: OSError) -> UserError:
    """Why a file could not be written, and what to do, from the system's error."""
    reason = _CANNOT_WRITE.get(error.errno or 0, error.strerror or str(error))
    return UserError(f"cannot write {target}: {reason}")
