"""Temporary folders for private data of a session, such as uploaded photos: deleted at its end, or by the next session."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import IO

_LOCK = ".in-use"


class PrivateFolder:
    """A temporary folder readable by its owner only. The next one of the same prefix deletes those of killed processes."""

    def __init__(self, prefix: str) -> None:
        """prefix: of the folder's name; unused folders of the same prefix are deleted.

        Raises OSError where no folder can be made.
        """
        _sweep(prefix)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix))
            """Where it is."""
            self._lock: IO[bytes] = (self.path / _LOCK).open("wb")
            if _take(self._lock) and (self.path / _LOCK).exists():  # else swept at this moment
                break
            self._lock.close()

    def close(self) -> None:
        """Delete it and all that is in it; closing again does nothing."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def _sweep(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != _user():
                continue
            if sys.platform == "win32":
                (folder / _LOCK).unlink()  # refused while it is open
                shutil.rmtree(folder, ignore_errors=True)
                continue
            with (folder / _LOCK).open("rb+") as lock:
                if _take(lock):
                    shutil.rmtree(folder, ignore_errors=True)


def _user() -> int:
    return 0 if sys.platform == "win32" else os.getuid()


def _take(lock: IO[bytes]) -> bool:
    """Lock an open file; the system unlocks it when its process ends, however it ends."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
