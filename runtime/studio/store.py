"""What the studio stores in addition to the avatars: the stage's settings, sets of looks with a name and a key, backgrounds.

All of it lies in the library's folder: `studio.json`, and a folder `backgrounds` with pictures.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError
from perse_live.files import atomic_output, write_bytes
from perse_live.photo import read_picture
from runtime.studio.names import clean_name

_LARGEST = 256 << 10  # bytes of studio.json
_MAX_PRESETS, _MAX_BACKGROUNDS = 60, 24
_BACKGROUND_SIDE = 1920  # pixels
_LOOK = re.compile(r"[a-z0-9-]{1,40}")
_BACKGROUND = re.compile(r"[0-9a-f]{12}")
BACKGROUND_PREFIX = "kept-"
"""How the names of kept backgrounds begin, for the session."""


@dataclass(frozen=True)
class Preset:
    """A set of looks with a name."""

    name: str
    key: str
    """One character that switches it on; "" for none."""
    weights: Mapping[str, float]
    """By the names of looks, (0, 1]."""

    def to_json(self) -> dict[str, object]:
        """As a JSON object, which is also how it is shared."""
        return {"name": self.name, "key": self.key, "weights": dict(self.weights)}


def preset_of(message: Mapping[str, Any]) -> Preset:
    """A preset from a JSON object. Raises UserError for one that is none."""
    name, key, weights = message.get("name"), message.get("key", ""), message.get("weights")
    if not isinstance(name, str) or not isinstance(key, str) or not isinstance(weights, dict):
        raise UserError(
            'a preset is an object such as {"name": "Party", "key": "p", "weights": {"hat-wide": 1}}'
        )
    if len(key) > 1 or not (key == "" or key.isprintable()):
        raise UserError("the key of a preset is one character, or none")
    kept: dict[str, float] = {}
    for look, weight in cast("dict[str, Any]", weights).items():
        if (
            not _LOOK.fullmatch(look)
            or isinstance(weight, bool)
            or not isinstance(weight, int | float)
            or not 0 <= weight <= 1
        ):
            raise UserError("the weights of a preset are numbers from 0 to 1 by the names of looks")
        if weight > 0:
            kept[look] = float(weight)
    return Preset(clean_name(name), key.lower(), kept)


class StudioStore:
    """The stored settings of one library. Thread-safe."""

    def __init__(self, library: Path) -> None:
        """Read them; damaged files are replaced by defaults."""
        self._file, self._folder = library / "studio.json", library / "backgrounds"
        self._changing = threading.Lock()
        self._stage: dict[str, Any] = {}
        self._presets: list[Preset] = []
        with contextlib.suppress(OSError, CheckedError, UserError):
            content = parse_json_object(self._file.read_bytes(), max_bytes=_LARGEST)
            stage, presets = content.get("stage"), content.get("presets")
            self._stage = cast("dict[str, Any]", stage) if isinstance(stage, dict) else {}
            self._presets = [preset_of(one) for one in cast("list[Any]", presets or [])]

    @property
    def stage(self) -> dict[str, Any]:
        """The stage's last settings."""
        with self._changing:
            return dict(self._stage)

    def remember(self, **settings: object) -> None:
        """Keep settings of the stage. A library that cannot be written to forgets them."""
        with self._changing:
            if all(self._stage.get(name) == value for name, value in settings.items()):
                return
            self._stage |= settings
            with contextlib.suppress(UserError):
                self._write()

    def presets(self) -> list[Preset]:
        """All of them, in the order in which they were made."""
        with self._changing:
            return list(self._presets)

    def save_preset(self, preset: Preset) -> None:
        """Keep a preset; one of the same name is replaced. Raises UserError where there are too many, or it cannot be written."""
        with self._changing:
            others = [one for one in self._presets if one.name.casefold() != preset.name.casefold()]
            if len(others) >= _MAX_PRESETS:
                raise UserError(f"there are {_MAX_PRESETS} presets already: delete one first")
            self._replace_presets([*others, preset])

    def delete_preset(self, name: str) -> None:
        """Forget a preset; nothing where there is none of that name. Raises UserError where it cannot be written."""
        with self._changing:
            self._replace_presets([one for one in self._presets if one.name != name])

    def backgrounds(self) -> dict[str, Path]:
        """Pictures to stand behind the avatar, by the names that the session knows them under."""
        with contextlib.suppress(OSError):
            files = [
                one
                for one in self._folder.iterdir()
                if one.suffix == ".webp" and _BACKGROUND.fullmatch(one.stem)
            ]
            return {
                f"{BACKGROUND_PREFIX}{one.stem}": one
                for one in sorted(files, key=lambda one: one.stat().st_mtime)
            }
        return {}

    def save_background(self, picture: Path) -> str:
        """Keep a picture as a background, at most 1920 pixels wide or high. Returns its name.

        Raises UserError for what is no picture, and where it cannot be written.
        """
        if len(self.backgrounds()) >= _MAX_BACKGROUNDS:
            raise UserError(f"there are {_MAX_BACKGROUNDS} backgrounds already: delete one first")
        small = Image.fromarray(read_picture(picture))
        small.thumbnail((_BACKGROUND_SIDE, _BACKGROUND_SIDE), Image.Resampling.LANCZOS)
        self._folder.mkdir(exist_ok=True)
        name = secrets.token_hex(6)
        with atomic_output(self._folder / f"{name}.webp") as temporary:
            Image.fromarray(np.asarray(small)).save(temporary, quality=88)
        return f"{BACKGROUND_PREFIX}{name}"

    def delete_background(self, name: str) -> None:
        """Delete a background; nothing where there is none of that name."""
        found = self.backgrounds().get(name)
        if found is not None:
            found.unlink(missing_ok=True)

    def _replace_presets(self, presets: list[Preset]) -> None:
        before, self._presets = self._presets, presets
        try:
            self._write()
        except UserError:
            self._presets = before
            raise

    def _write(self) -> None:
        content = {"stage": self._stage, "presets": [one.to_json() for one in self._presets]}
        write_bytes(self._file, json.dumps(content, indent=1).encode(), private=True)
