"""A local camera through OpenCV."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.threads import name_this_thread
from runtime.live.frames import CapturedFrame
from runtime.live.slot import Latest
from runtime.sources.contract import SourceLost

_log = logging.getLogger(__name__)
_BACKENDS = {
    "linux": (cv2.CAP_V4L2,),
    "darwin": (cv2.CAP_AVFOUNDATION,),
    "win32": (cv2.CAP_DSHOW, cv2.CAP_MSMF),
}
_REOPEN_SECONDS = 0.5
_FAILURES = 5  # failed reads in a row until the camera counts as lost; some drop a damaged picture now and then
_FAILURE_PAUSE = 0.02  # seconds
_STALLED_SECONDS = 2.0  # without a picture: gone, even where the driver still waits
_FIRST_PICTURE_TRIES = 5
_OLDEST_STAMP = 0.5  # seconds; an older time of capture is on another clock
_PROBED_INDICES = range(6)
_VIDIOC_QUERYCAP = 0x80685600  # _IOR('V', 0, struct v4l2_capability), linux/videodev2.h
_CAPABILITY_BYTES, _CAPABILITIES_AT, _DEVICE_CAPS_AT = 104, 84, 88
_CAN_CAPTURE = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_VIDEO_CAPTURE_MPLANE
_HAS_DEVICE_CAPS = 0x80000000


@dataclass(frozen=True)
class CameraConfig:
    """Requested camera format; the camera uses the nearest one."""

    width: int = 640
    """Pixels; the tracker looks at no more than this."""
    height: int = 480
    """Pixels."""
    fps: float = 30.0
    """Pictures per second."""


@dataclass(frozen=True)
class CameraFormat:
    """Actual camera format."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    fps: float
    """Pictures per second as the driver says; 0 where it does not."""
    coding: str
    """Such as MJPG or YUYV; empty where the driver does not say."""


@dataclass(frozen=True)
class CameraInfo:
    """A camera of this machine."""

    index: int
    """Its number for `--camera`."""
    name: str
    """Product name, if the system knows it."""
    problem: str = ""
    """Why it cannot be used, and what to do; empty for none."""


class Capture(Protocol):
    """The used part of cv2.VideoCapture."""

    def grab(self) -> bool:
        """Wait for a picture."""
        ...

    def retrieve(self) -> tuple[bool, UInt8Array]:
        """Decode it: (H, W, 3) BGR."""
        ...

    def get(self, propId: int, /) -> float:
        """A property."""
        ...

    def release(self) -> None:
        """Free the device."""
        ...


OpenCapture = Callable[[int | str, CameraConfig], Capture | None]


class CameraSource:
    """A local camera, read by a separate thread; reconnects after unplugging."""

    def __init__(
        self, index: int | str, config: CameraConfig, *, open_capture: OpenCapture | None = None
    ) -> None:
        """Open a camera and wait for its first picture.

        index: number, or path of a device. open_capture: opens the device, None: by OpenCV; returns None where
        it cannot be had. Raises UserError where there is no such camera or it gives no picture.
        """
        self._index, self._config = index, config
        self._open = open_opencv_capture if open_capture is None else open_capture
        capture = self._open(index, config)
        if capture is None:
            raise UserError(_missing(index))
        first = _first_picture(capture)
        if first is None:
            capture.release()
            raise UserError(
                f"{self.name} opens but gives no picture: close other programs that use it,"
                " or unplug it and plug it in again"
            )
        self._format = _format_of(capture, first.image)
        _log.info("%s: %s", self.name, self._format)
        self._slot: Latest[CapturedFrame] = Latest()
        self._slot.put(first)
        self._seen = 0
        self._last_picture = first.time
        self._lost = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._keep_reading, args=(capture,), name="camera", daemon=True
        )
        self._thread.start()

    @property
    def name(self) -> str:
        """Display name, such as "camera 0"."""
        return f"camera {self._index}"

    @property
    def live(self) -> bool:
        """True."""
        return True

    @property
    def format(self) -> CameraFormat:
        """What the camera gave at opening."""
        return self._format

    def read(self, timeout: float) -> CapturedFrame | None:
        """The newest picture that was not read yet; None if none came in time or after `close`.

        Raises SourceLost while the camera is unplugged or has given nothing for two seconds.
        """
        found = self._slot.wait(self._seen, timeout)
        if found is not None:
            self._seen, frame = found
            return frame
        if not self._slot.closed and (
            self._lost.is_set() or time.monotonic() - self._last_picture > _STALLED_SECONDS
        ):
            raise SourceLost(
                f"{self.name} is gone: plug it in again, or close the program that has taken it"
            )
        return None

    def close(self) -> None:
        """Free the camera; a read that waits returns None. Closing again does nothing."""
        self._closed.set()
        self._slot.close()
        self._thread.join(timeout=2.0)  # a driver that hangs must not keep the session from ending

    def _keep_reading(self, capture: Capture | None) -> None:
        name_this_thread()
        while not self._closed.is_set():
            if capture is None:
                self._closed.wait(_REOPEN_SECONDS)
                capture = None if self._closed.is_set() else self._open(self._index, self._config)
                continue
            self._read_until_lost(capture)
            capture.release()
            capture = None
        if capture is not None:
            capture.release()

    def _read_until_lost(self, capture: Capture) -> None:
        failures = 0
        while not self._closed.is_set() and failures < _FAILURES:
            frame = _picture(capture)
            if frame is None:
                failures += 1
                self._closed.wait(_FAILURE_PAUSE)
                continue
            failures = 0
            self._last_picture = time.monotonic()
            self._lost.clear()
            self._slot.put(frame)
        if failures:
            self._lost.set()


def open_opencv_capture(index: int | str, config: CameraConfig) -> Capture | None:
    """Open a camera with OpenCV's best back-end of this system, asking for Motion JPEG: raw pictures fill a USB 2 line at 720p.

    Returns None where it cannot be had. OpenCV's messages are silenced from then on in this process.
    """
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    for backend in _BACKENDS.get(sys.platform, (cv2.CAP_ANY,)):
        capture = cv2.VideoCapture(index, backend)
        if capture.isOpened():
            # First: it decides which sizes there are
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
            capture.set(cv2.CAP_PROP_FPS, config.fps)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the oldest of four
            return cast("Capture", capture)
        capture.release()
    return None


def list_cameras(
    *, system: Path = Path("/sys/class/video4linux"), devices: Path = Path("/dev")
) -> list[CameraInfo]:
    """The cameras of this machine, by number.

    On Linux by the system's list, without opening them; elsewhere by trying the first six numbers, which takes a second or two.
    system, devices: Linux's folders.
    """
    if sys.platform == "linux":
        entries = system.iterdir() if system.is_dir() else iter(())
        numbers = sorted(
            int(entry.name[5:]) for entry in entries if re.fullmatch(r"video\d+", entry.name)
        )
        found = (
            _linux_camera(number, system / f"video{number}", devices / f"video{number}")
            for number in numbers
        )
        return [camera for camera in found if camera is not None]
    cameras: list[CameraInfo] = []
    for index in _PROBED_INDICES:
        capture = open_opencv_capture(index, CameraConfig())
        if capture is not None:
            cameras.append(CameraInfo(index, f"camera {index}"))
            capture.release()
    return cameras


def camera_choices() -> str:
    """What `--camera` takes on this machine, as half a sentence."""
    cameras = ", ".join(f"{camera.index} ({camera.name})" for camera in list_cameras())
    local = f"a camera ({cameras})" if cameras else "a camera's number (none is plugged in)"
    return f"{local}, a video file, browser, vmc or none"


def _linux_camera(index: int, entry: Path, device: Path) -> CameraInfo | None:
    """A camera, or None for a device that gives no pictures, such as a camera's second node for its metadata."""
    assert sys.platform != "win32"
    import fcntl

    try:
        name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        name = device.name
    answer = bytearray(_CAPABILITY_BYTES)
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return CameraInfo(
            index,
            name,
            "permission denied: sudo usermod -aG video $USER, then log out and in again",
        )
    except OSError as error:
        return CameraInfo(index, name, f"{error.strerror or error}: unplug it and plug it in again")
    try:
        fcntl.ioctl(descriptor, _VIDIOC_QUERYCAP, answer)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    capabilities, device_capabilities = (
        int(np.frombuffer(answer, np.uint32, 1, at)[0])
        for at in (_CAPABILITIES_AT, _DEVICE_CAPS_AT)
    )
    return (
        CameraInfo(index, name)
        if (device_capabilities if capabilities & _HAS_DEVICE_CAPS else capabilities) & _CAN_CAPTURE
        else None
    )


def _missing(index: int | str) -> str:
    """Why a camera cannot be opened, and what to do."""
    device = str(index) if isinstance(index, str) else f"/dev/video{index}"
    if (
        sys.platform == "linux"
        and os.path.exists(device)
        and not os.access(device, os.R_OK | os.W_OK)
    ):
        return f"camera {index} may not be used (permission denied): sudo usermod -aG video $USER, then log out and in again"
    hint = {
        "darwin": "; allow the camera for your terminal in System Settings, Privacy",
        "win32": "; allow desktop programs to use it in Settings, Privacy, Camera",
    }.get(sys.platform, "")
    return f"camera {index} cannot be opened: plug it in{hint}, or give --camera another choice: {camera_choices()}"


def _first_picture(capture: Capture) -> CapturedFrame | None:
    for _ in range(_FIRST_PICTURE_TRIES):
        frame = _picture(capture)
        if frame is not None:
            return frame
        time.sleep(_FAILURE_PAUSE)
    return None


def _picture(capture: Capture) -> CapturedFrame | None:
    """The next picture, or None where there is none."""
    with contextlib.suppress(cv2.error):
        if capture.grab():
            arrived = time.monotonic()
            # V4L2: when the sensor was read, on the clock of time.monotonic()
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            found, image = capture.retrieve()
            if found and image.ndim == 3:
                taken = stamp if arrived - _OLDEST_STAMP < stamp <= arrived else arrived
                return CapturedFrame(
                    cast("UInt8Array", cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), taken
                )
    return None


def _format_of(capture: Capture, image: UInt8Array) -> CameraFormat:
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    coding = (
        code.to_bytes(4, "little").decode("ascii", "replace") if code not in (0, 0xFFFFFFFF) else ""
    )
    fps = capture.get(cv2.CAP_PROP_FPS)
    return CameraFormat(
        image.shape[1], image.shape[0], fps if 0 < fps < 1000 else 0.0, coding.strip("\0 ")
    )
