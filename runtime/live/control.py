"""The interface through which page, API and keys control a running session."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from runtime.live.actions import Action
from runtime.live.frames import DrawnFrame
from runtime.live.slot import Latest


class Control(Protocol):
    """Control of a running session. Thread-safe; every method returns at once."""

    @property
    def drawn(self) -> Latest[DrawnFrame]:
        """The newest picture of the avatar."""
        ...

    @property
    def recorded(self) -> Path | None:
        """The last recording that was finished, if there is one."""
        ...

    def act(self, action: Action) -> None:
        """Perform an action.

        Raises UserError, and changes nothing, where it cannot be done: no such attribute or avatar, an unknown background.
        """
        ...

    def state(self) -> dict[str, object]:
        """Settings and state of the session as a JSON object; see docs/live-api.md."""
        ...

    def stats(self) -> dict[str, object]:
        """Frame rates, times and latency as a JSON object; see docs/live-api.md."""
        ...
