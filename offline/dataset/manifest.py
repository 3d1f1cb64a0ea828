"""The manifest of a data set: what it was made from, who agreed, which looks it has."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from offline.dataset.layout import (
    MANIFEST_FILE,
    VERSION,
    AvatarEntry,
    LookEntry,
    LookSource,
    Manifest,
    MotionEntry,
)
from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError
from perse_live.files import write_bytes

FORMAT = "perse-live dataset"
_MOST_BYTES = 4 << 20
_MOST_LOOKS = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")  # also a folder's: nothing that leads elsewhere


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write `manifest.json` of a data set; one that is there is replaced."""
    document = {"format": FORMAT, "version": VERSION, **asdict(manifest)}
    write_bytes(
        root / MANIFEST_FILE, (json.dumps(document, allow_nan=False, indent=1) + "\n").encode()
    )


def read_manifest(root: Path) -> Manifest:
    """What a data set was made from. Raises UserError, one line, for another folder, version, or a damaged file."""
    path = root / MANIFEST_FILE
    try:
        found = parse_json_object(path.read_bytes(), max_bytes=_MOST_BYTES)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give a folder made by perse-live dataset"
        ) from error
    except CheckedError as error:
        raise UserError(f"{path} is damaged ({error}): make the data set again") from error
    if found.get("format") != FORMAT:
        raise UserError(f"{path} is no data set's: give a folder made by perse-live dataset")
    if found.get("version") != VERSION:
        raise UserError(
            f"{path}: a data set of version {str(found.get('version'))[:20]}, this perse-live reads {VERSION}:"
            " make it again, or use the perse-live that made it"
        )
    try:
        return _manifest(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): make the data set again") from error


def _manifest(found: Mapping[str, Any]) -> Manifest:
    avatar = dict(found["avatar"])
    looks = tuple(_look(entry) for entry in found["looks"])
    manifest = Manifest(
        str(found["creator"]),
        str(found["created"]),
        AvatarEntry(
            **{
                name: str(avatar[name])
                for name in ("sha256", "photo_sha256", "consent_by", "consent_at")
            },
            licences=tuple(map(str, avatar["licences"])),
        ),
        MotionEntry(**found["motion"]),
        int(found["frames"]),
        int(found["train_frames"]),
        int(found["size"]),
        looks,
    )
    names = [look.name for look in looks]
    if not 0 < len(names) <= _MOST_LOOKS or len(set(names)) != len(names):
        raise ValueError("its looks are not named apart")
    if manifest.motion.kind not in ("built-in", "film", "motion"):
        raise ValueError(f"an unknown kind of motion, {str(manifest.motion.kind)[:20]!r}")
    if not (0 < manifest.train_frames <= manifest.frames and 16 <= manifest.size <= 4096):
        raise ValueError("a number is out of range")
    return manifest


def _look(entry: Mapping[str, Any]) -> LookEntry:
    values: dict[str, Any] = {**entry, "source": LookSource(**entry["source"])}
    look = LookEntry(**values)
    if not _NAME.fullmatch(look.name):
        raise ValueError(f"a look cannot be named {look.name[:50]!r}")
    if look.animator not in ("rig", "liveportrait", "video"):
        raise ValueError(f"an unknown animator, {str(look.animator)[:20]!r}")
    return look
