"""What the page, the API and the keys may ask of a running session."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from runtime.live.actions import Action
from runtime.live.frames import DrawnFrame
from runtime.live.slot import Latest


class Control(Protocol):
    """A running session, as others see it; every method may be called from any thread and returns at once."""

    @property
    def drawn(self) -> Latest[DrawnFrame]:
        """The newest picture of the avatar."""
        ...

    @property
    def recorded(self) -> Path | None:
        """The last recording that was finished, if there is one."""
        ...

    def act(self, action: Action) -> None:
        """Do something.

        Raises UserError, and changes nothing, where it cannot be done: no such attribute or avatar, an unknown background.
        """
        ...

    def state(self) -> dict[str, object]:
        """What is chosen and what is going on, as a JSON object; see docs/live-api.md."""
        ...

    def stats(self) -> dict[str, object]:
        """How fast it goes, as a JSON object; see docs/live-api.md."""
        ...
