"""How a live session looks and works."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runtime.live.actions import SetBadge
from runtime.live.gains import Gains


@dataclass(frozen=True)
class LiveConfig:
    """Configuration of a session; values that can be changed while it runs are initial values."""

    width: int = 512
    """Of the picture, pixels, even."""
    height: int = 512
    """Of the picture, pixels, even."""
    target_fps: float = 30.0
    """Frames per second to keep; above the camera's rate, motion is carried on between its pictures."""
    threads: int = 2
    """That drawing may use."""
    background: str = "d9dbde"
    """As `backdrop_of` reads it."""
    image: Path | None = None
    """The picture that the background "image" stands for."""
    gains: Gains = field(default_factory=Gains)
    """Gain of the motion, by region."""
    dead_zone: float = 0.02
    """[0, 0.5] expressions weaker than this count as rest."""
    badge: SetBadge = field(default_factory=lambda: SetBadge("bottom-right"))
    """Corner of the badge that says that this is an avatar."""
    still: bool = False
    """Whether secondary motion (swinging hair, breathing) is off."""
