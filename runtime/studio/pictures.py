"""Pictures of an avatar for the page: its head in many turns on one sheet, and its expressions on another.

They are drawn once for each avatar, whatever looks it learns, and kept in the user's cache.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.assets import user_cache
from perse_live.avatar import Avatar, load_avatar
from perse_live.files import atomic_output
from perse_live.head.expressions import expression
from runtime.background import straight_alpha
from runtime.live.framing import camera_of, view_of
from runtime.sheet import EXPRESSIONS
from runtime.stage import Motion, Stage, facing_pose
from runtime.studio.library import Entry
from runtime.tiles import acting, close_up

YAWS = tuple(range(-40, 41, 8))
"""Degrees, columns of the sheet of turns."""
PITCHES = (-14, 0, 14)
"""Degrees, rows of the sheet of turns."""
SHOWN = (
    "neutral",
    "smile",
    "laugh",
    "jaw open",
    "pucker",
    "blink",
    "brows up",
    "frown",
    "wink",
    "show teeth",
)
"""Columns of the sheet of expressions."""
TURN_SIDE, EXPRESSION_SIDE = 320, 176
"""Pixels of one picture."""
KINDS = ("turns", "expressions", "card")
_QUALITY = 82  # of WebP
_CLOSE = 1.5  # side of a picture of an expression, in heights of the face
_ABANDONED_SECONDS = 60 * 86400.0
_VERSION = 2  # of the pictures' layout


@dataclass(frozen=True)
class Drawn:
    """The sheets of one avatar, (H, W, 4) RGBA with straight alpha."""

    turns: UInt8Array
    expressions: UInt8Array


class Pictures:
    """Draws the sheets when they are asked for first; any thread may ask, one draws at a time."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: None for the user's cache."""
        self._folder = folder or user_cache() / "studio"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._drawing = threading.Lock()
        _sweep(self._folder)

    def path(self, entry: Entry, kind: str) -> Path:
        """The file of a sheet (WebP), which is there now. kind: of `KINDS`.

        Raises UserError for an avatar that cannot be read.
        """
        path = self._at(entry, kind)
        if path.is_file():
            return path
        with self._drawing:
            if not path.is_file():
                self._draw(entry)
        return path

    def _at(self, entry: Entry, kind: str) -> Path:
        return self._folder / f"{entry.face}-{_VERSION}-{kind}.webp"

    def _draw(self, entry: Entry) -> None:
        drawn = draw(load_avatar(entry.path))
        middle = YAWS.index(0) * TURN_SIDE, PITCHES.index(0) * TURN_SIDE
        card = drawn.turns[middle[1] : middle[1] + TURN_SIDE, middle[0] : middle[0] + TURN_SIDE]
        for kind, picture in (
            ("card", card),
            ("turns", drawn.turns),
            ("expressions", drawn.expressions),
        ):
            with atomic_output(self._at(entry, kind)) as temporary:
                Image.fromarray(np.ascontiguousarray(picture)).save(
                    temporary, quality=_QUALITY, method=2
                )


def draw(avatar: Avatar) -> Drawn:
    """The sheets of an avatar as it is without attributes (2 s)."""
    front, source = facing_pose(avatar), avatar.source.camera
    resting = acting(avatar, expression(), front)
    alpha = Stage(avatar, source, threads=1).draw_rgba(resting)[..., 3]
    stage = Stage(avatar, camera_of(source, view_of(alpha), TURN_SIDE, TURN_SIDE), threads=1)
    rows = [
        np.concatenate(
            [
                _picture(
                    stage, acting(avatar, expression(), facing_pose(avatar, yaw=yaw, pitch=pitch))
                )
                for yaw in YAWS
            ],
            1,
        )
        for pitch in PITCHES
    ]
    near = stage.before(close_up(avatar, front, _CLOSE).resized(EXPRESSION_SIDE, EXPRESSION_SIDE))
    faces = [_picture(near, acting(avatar, _named(name), front)) for name in SHOWN]
    return Drawn(np.concatenate(rows, 0), np.concatenate(faces, 1))


def _picture(stage: Stage, motion: Motion) -> UInt8Array:
    return straight_alpha(stage.draw_rgba(motion))


def _named(name: str) -> Float32Array:
    return dict(EXPRESSIONS)[name]


def _sweep(folder: Path) -> None:
    """Remove pictures that have not been made for long: their avatars have changed or gone."""
    oldest = time.time() - _ABANDONED_SECONDS
    for path in folder.glob("*.webp"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
