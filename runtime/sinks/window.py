"""The preview's window: a separate program, started by `runtime.sinks.preview`.

It reads frames from standard input, each as `HEADER` and (height, width, 3) bytes of RGB, and answers on standard output with one
byte when the window stands and one for every frame shown. It ends when its input ends or the window is closed.
"""

from __future__ import annotations

import signal
import struct
import sys
import threading
from typing import BinaryIO, cast

import cv2
import numpy as np

from perse_live.arrays import UInt8Array
from runtime.live.slot import Latest
from runtime.sinks.x11 import wake_black_windows

HEADER = struct.Struct("<II")
"""Width and height, before the bytes of a frame."""
CLOSED_BY_USER = 3
"""Exit code."""

_PUMP_MS = 10  # how long events wait at most
_LOOKS = (4, 12, 30, 60)  # frames after which it is looked whether they are to be seen
_DEFAULT_SIDE = 512  # pixels, until the first frame


def main(title: str) -> int:
    """Show a window until it is closed or standard input ends; returns the exit code, which tells the two apart."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends this one
    flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
    cv2.namedWindow(title, flags)
    cv2.resizeWindow(title, _DEFAULT_SIDE, _DEFAULT_SIDE)
    cv2.waitKey(_PUMP_MS)
    frames: Latest[UInt8Array] = Latest()
    threading.Thread(target=_read_frames, args=(sys.stdin.buffer, frames), daemon=True).start()
    _answer()
    seen = shown = 0
    while not frames.closed:
        found = frames.wait(seen, 0)
        if found is not None:
            seen, image = found
            if seen == 1 and image.shape[:2] != (_DEFAULT_SIDE, _DEFAULT_SIDE):
                cv2.resizeWindow(title, image.shape[1], image.shape[0])
            cv2.imshow(title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        cv2.waitKey(_PUMP_MS)
        if not _is_open(title):
            return CLOSED_BY_USER
        if found is not None:
            shown += 1
            if shown in _LOOKS and found[1].any():
                wake_black_windows(title)
            _answer()
    return 0


def _is_open(title: str) -> bool:
    try:
        return cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:
        # OpenCV's Qt windows are all gone with the last one, and even asking is an error
        return False


def _read_frames(stream: BinaryIO, frames: Latest[UInt8Array]) -> None:
    while True:
        header = stream.read(HEADER.size)
        if len(header) < HEADER.size:
            break
        width, height = HEADER.unpack(header)
        data = stream.read(width * height * 3)
        if len(data) < width * height * 3:
            break
        frames.put(cast("UInt8Array", np.frombuffer(data, np.uint8).reshape(height, width, 3)))
    frames.close()


def _answer() -> None:
    sys.stdout.buffer.write(b".")
    sys.stdout.buffer.flush()
