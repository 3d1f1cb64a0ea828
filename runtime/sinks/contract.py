"""Interface of sinks."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from runtime.live.frames import DrawnFrame


class Sink(Protocol):
    """Takes drawn frames; used by one thread, which hands over only the newest frame and so never makes others wait.

    Opening (the constructor) raises UserError where the sink cannot be had, naming every cause and what to do on this system;
    nothing stays open and no file is left then.
    """

    @property
    def name(self) -> str:
        """Display name, such as "virtual camera /dev/video10", "recording ME.mp4"."""
        ...

    def write(self, frame: DrawnFrame) -> None:
        """Show or store a frame of any even size: sinks of a fixed size scale it.

        Raises UserError where the sink has failed for good (device gone, disk full); the session then closes it, says so and
        goes on without it.
        """
        ...

    def close(self) -> None:
        """Finish: a recording is playable afterwards. Closing again does nothing. Raises UserError where finishing fails."""
        ...


class Recorder(Sink, Protocol):
    """A sink that makes a file."""

    @property
    def path(self) -> Path:
        """Where the file will be; once it is closed, where it is."""
        ...


@runtime_checkable
class ReconnectingSink(Protocol):
    """A sink that loses its connection and finds it again by itself."""

    @property
    def problem(self) -> str:
        """Why it is disconnected; empty while it is connected."""
        ...
