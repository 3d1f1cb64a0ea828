"""Interface of sources of motion."""

from __future__ import annotations

from typing import Protocol

from perse_live.errors import UserError
from runtime.live.frames import CapturedFrame
from runtime.tracker import TrackedFrame


class SourceLost(UserError):
    """The source is temporarily lost: an unplugged camera, a silent phone. Reading may be tried again."""


class PictureSource(Protocol):
    """Pictures for the tracker, read by one thread.

    Opening (the constructor) raises UserError where the source cannot be had, with what to do; nothing stays open then.
    """

    @property
    def name(self) -> str:
        """Display name, such as "camera 0", "clip.mp4", "browser camera"."""
        ...

    @property
    def live(self) -> bool:
        """Whether pictures come as they happen; False for a file, whose driver is calibrated from any frame on."""
        ...

    def read(self, timeout: float) -> CapturedFrame | None:
        """The newest picture that was not read yet; older ones are skipped, not queued.

        timeout: seconds to wait for one. None: none came in time. Raises SourceLost where it is gone but may come back (the
        caller reads on, and the source tries to open again by itself, at most twice a second), EOFError at the end of a film
        that is not repeated.
        """
        ...

    def close(self) -> None:
        """Free the device; a read that waits returns None. Closing again does nothing."""
        ...


class MotionSource(Protocol):
    """Motion tracked by another program, read by one thread. Opening raises as for `PictureSource`."""

    @property
    def name(self) -> str:
        """Display name, such as "VMC on UDP port 39539"."""
        ...

    def read(self, timeout: float) -> TrackedFrame | None:
        """The newest motion that was not read yet; None if none came in time.

        The pose is relative: R_cam_head = diag(1, -1, -1) means straight ahead, t_cam_head = 0 the resting place. Raises
        SourceLost where nothing has come for a second.
        """
        ...

    def close(self) -> None:
        """As for `PictureSource`."""
        ...
