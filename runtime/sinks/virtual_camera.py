"""A virtual camera for other programs (video calls, OBS), through pyvirtualcam."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from perse_live.errors import UserError, one_line
from runtime.live.frames import DrawnFrame
from runtime.sinks.fit import fitted_i420

_STEPS = {
    "linux": "install and load the driver once: sudo apt-get install v4l2loopback-dkms && "
    "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=perse-live",
    "darwin": "install OBS (https://obsproject.com), start it, press 'Start Virtual Camera' once, allow it in System Settings, "
    "then quit OBS",
    "win32": "install OBS (https://obsproject.com), start it, press 'Start Virtual Camera' once, then quit OBS",
}


class VirtualCameraSink:
    """A camera of a fixed size that shows the newest frame, letterboxed.

    Other programs know no transparency: of a two-up matte they see the avatar on black.
    """

    def __init__(self, width: int, height: int, fps: float, *, device: str | None = None) -> None:
        """Open it.

        width, height: even, pixels; fps: what programs are told. device: such as /dev/video10 on Linux, or a camera's name; None
        takes the first. Raises UserError with the cause of every backend and this system's steps.
        """
        try:
            import pyvirtualcam  # here: only who wants a virtual camera needs it
        except Exception as error:  # its native half may fail in any way
            raise UserError(
                f"cannot open a virtual camera: pyvirtualcam is missing or broken ({one_line(error)}): "
                f"pip install pyvirtualcam, then {_steps()}"
            ) from error
        try:
            self._camera: Any = pyvirtualcam.Camera(
                width, height, fps, fmt=pyvirtualcam.PixelFormat.I420, device=device
            )
        except Exception as error:  # backends raise exceptions of many types
            where = "" if device is None else f" {device}"
            raise UserError(
                f"cannot open the virtual camera{where} ({one_line(error)}): {_steps()}"
            ) from error
        self._size = (width, height)
        self._device = str(self._camera.device)
        self._has_node = Path(self._device).exists()  # a stand-in for a driver may have none
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Display name, such as "virtual camera /dev/video10"."""
        return f"virtual camera {self._device}"

    @property
    def device(self) -> str:
        """The device's path, or the camera's name as other programs show it."""
        return self._device

    def write(self, frame: DrawnFrame) -> None:
        """Show a frame. Ignored after `close`. Raises UserError where the camera is gone."""
        with self._lock:
            if self._camera is None:
                return
            # Pyvirtualcam only prints that writing has failed
            if self._has_node and not Path(self._device).exists():
                raise UserError(f"{self.name} is gone: {_steps()}")
            try:
                self._camera.send(fitted_i420(frame, *self._size, two_up=False))
            except (OSError, RuntimeError) as error:
                raise UserError(
                    f"{self.name} takes no more pictures ({one_line(error)}): {_steps()}"
                ) from error

    def close(self) -> None:
        """Free the camera. Closing again does nothing."""
        with self._lock:
            camera, self._camera = self._camera, None
            if camera is not None:
                camera.close()


def _steps() -> str:
    return _STEPS.get(sys.platform, "virtual cameras work on Linux, macOS and Windows only")
