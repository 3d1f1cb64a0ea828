"""Which compiled engines were built by this user on this machine.

A compiled engine is code. The manifest next to it does not prove who made it: the sender of an avatar with a folder of engines
writes both. So the hash of each engine that is compiled here is recorded in the user's cache, and only recorded ones are opened.
ONNX graphs are data, and engines are compiled from them again in seconds to minutes.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from perse_live.assets import user_cache
from perse_live.errors import UserError

_log = logging.getLogger(__name__)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def record_built(sha256: str) -> None:
    """Record an engine that was compiled here, by its hexadecimal hash; in a file of its own, as processes may do so at once."""
    try:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / sha256).touch(mode=0o600)
    except (OSError, UserError) as error:
        _log.warning("the engine will have to be built again, as it cannot be recorded: %s", error)


def was_built_here(sha256: str) -> bool:
    """Whether an engine of this hash was recorded. sha256: as a manifest says it, so anything."""
    try:
        return _SHA256.fullmatch(sha256) is not None and (_folder() / sha256).is_file()
    except (OSError, UserError):
        return False


def _folder() -> Path:
    return user_cache() / "built-engines"
