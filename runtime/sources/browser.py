"""The camera of a browser (or OBS), received by the live page's server."""

from __future__ import annotations

import time
from collections.abc import Callable

from perse_live.arrays import UInt8Array
from runtime.live.frames import CapturedFrame
from runtime.live.slot import Latest
from runtime.sources.contract import SourceLost

_SILENCE = 2.0  # seconds without a picture after which the camera counts as gone


class BrowserCamera:
    """A `PictureSource` that the web server fills; pictures from before the last one are skipped, not queued."""

    def __init__(self) -> None:
        self._slot: Latest[tuple[Callable[[], UInt8Array], float]] = Latest()
        self._seen = 0
        self._last: float | None = None

    @property
    def name(self) -> str:
        """Display name."""
        return "browser camera"

    @property
    def live(self) -> bool:
        """True."""
        return True

    def offer(self, picture: Callable[[], UInt8Array], taken: float) -> None:
        """Offer a new picture. Thread-safe.

        picture: gives it as (H, W, 3) RGB, not mirrored; called by the reader, and only if no newer one comes first.
        taken: seconds of time.monotonic().
        """
        self._slot.put((picture, taken))

    def read(self, timeout: float) -> CapturedFrame | None:
        """The newest picture not read yet, or None; timeout in seconds.

        Raises SourceLost where nothing has come for two seconds after something came.
        """
        newest = self._slot.wait(self._seen, timeout)
        if newest is None:
            if (
                self._last is not None
                and not self._slot.closed
                and time.monotonic() - self._last > _SILENCE
            ):
                raise SourceLost(
                    "the browser's camera sends no pictures: start it again in the live page"
                )
            return None
        self._seen, (picture, taken) = newest
        self._last = time.monotonic()
        return CapturedFrame(picture(), taken)

    @property
    def closed(self) -> bool:
        """Whether it is closed: offered pictures are dropped."""
        return self._slot.closed

    def reopen(self) -> None:
        """Take pictures again, as if none had come before; only while nobody reads."""
        self._slot, self._seen, self._last = Latest(), 0, None

    def close(self) -> None:
        """Take and give no more pictures until `reopen`."""
        self._slot.close()
