"""A virtual camera that can be switched on and off while the session runs."""

from __future__ import annotations

from collections.abc import Callable

from perse_live.errors import UserError
from runtime.live.config import LiveConfig
from runtime.live.frames import DrawnFrame
from runtime.live.outlets import Outlet
from runtime.live.slot import Latest
from runtime.sinks.contract import Sink


class VirtualCameraSwitch:
    """Opens and closes the outlet to the virtual camera. Not thread-safe."""

    def __init__(
        self, opened: Callable[[LiveConfig], Sink] | None, drawn: Latest[DrawnFrame]
    ) -> None:
        """opened: opens the device for pictures of a size and rate; None where there is none to switch on."""
        self._opened, self._drawn = opened, drawn
        self._outlet: Outlet | None = None

    @property
    def on(self) -> bool | None:
        """Whether the camera takes frames; None where there is none to switch on."""
        return None if self._opened is None else self._outlet is not None and self._outlet.running

    @property
    def outlets(self) -> tuple[Outlet, ...]:
        """The camera's, also after it has failed, so that its problem is shown."""
        return () if self._outlet is None else (self._outlet,)

    def switch(self, on: bool | None, config: LiveConfig) -> None:
        """Open or close the camera; on None: toggle. Raises UserError where it cannot be opened."""
        wanted = self._outlet is None if on is None else on
        if wanted and self._opened is None:
            raise UserError("this session has no virtual camera to switch on")
        if wanted and self.on:
            return
        self.close()  # the device must be free before it can be opened again
        if wanted and self._opened is not None:
            self._outlet = Outlet(self._opened(config), self._drawn)

    def close(self) -> None:
        """Close the camera, which takes the few milliseconds in which a frame is written."""
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.close()
