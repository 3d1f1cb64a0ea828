"""Waking a window that X11 shows and Qt believes hidden.

On a busy machine, one to three in fifteen of OpenCV's Qt windows miss the word that they are on the screen, and stay black
whatever is drawn into them. Taken off the screen and put back, they hear it.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Generator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_uint, c_ulong, c_void_p
from typing import Any

_ZPIXMAP = 2
_ALL_PLANES = 2**32 - 1


class _Image(ctypes.Structure):
    """The beginning of Xlib's XImage."""

    _fields_ = (
        ("width", c_int),
        ("height", c_int),
        ("xoffset", c_int),
        ("format", c_int),
        ("data", c_void_p),
        ("byte_order", c_int),
        ("bitmap_unit", c_int),
        ("bitmap_bit_order", c_int),
        ("bitmap_pad", c_int),
        ("depth", c_int),
        ("bytes_per_line", c_int),
        ("bits_per_pixel", c_int),
    )


def wake_black_windows(title: str) -> int:
    """Take windows of this title that are black all over off the screen and put them back.

    Returns how many there were; 0 also where there is no X11 to ask.
    """
    with _display() as display:
        if display is None:
            return 0
        x, handle = display
        black = [
            window
            for window in _windows(x, handle, x.XDefaultRootWindow(handle))
            if _name(x, handle, window) == title and _is_black(x, handle, window)
        ]
        for window in black:
            x.XUnmapWindow(handle, window)
            x.XSync(handle, 0)
            x.XMapWindow(handle, window)
            x.XSync(handle, 0)
        return len(black)


@contextmanager
def _display() -> Generator[tuple[Any, int] | None, None, None]:
    """Xlib and a connection to the screen, or None."""
    try:
        x: Any = ctypes.CDLL("libX11.so.6") if sys.platform == "linux" else None
    except OSError:
        x = None
    if x is None:
        yield None
        return
    x.XOpenDisplay.restype, x.XOpenDisplay.argtypes = c_void_p, (c_char_p,)
    x.XDefaultRootWindow.restype, x.XDefaultRootWindow.argtypes = c_ulong, (c_void_p,)
    x.XQueryTree.argtypes = (
        c_void_p,
        c_ulong,
        POINTER(c_ulong),
        POINTER(c_ulong),
        POINTER(POINTER(c_ulong)),
        POINTER(c_uint),
    )
    x.XFetchName.argtypes = (c_void_p, c_ulong, POINTER(c_void_p))
    x.XGetGeometry.argtypes = (
        c_void_p,
        c_ulong,
        POINTER(c_ulong),
        *[POINTER(c_int)] * 2,
        *[POINTER(c_uint)] * 4,
    )
    x.XGetImage.restype = POINTER(_Image)
    x.XGetImage.argtypes = (c_void_p, c_ulong, c_int, c_int, c_uint, c_uint, c_ulong, c_int)
    x.XDestroyImage.argtypes = (POINTER(_Image),)
    x.XFree.argtypes = x.XCloseDisplay.argtypes = (c_void_p,)
    x.XSync.argtypes = (c_void_p, c_int)
    x.XUnmapWindow.argtypes = x.XMapWindow.argtypes = (c_void_p, c_ulong)
    handle = x.XOpenDisplay(None)
    if not handle:
        yield None
        return
    # A window may go while we look; Xlib would exit
    ignore = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)(lambda _, __: 0)
    x.XSetErrorHandler.restype, x.XSetErrorHandler.argtypes = c_void_p, (c_void_p,)
    before = x.XSetErrorHandler(ctypes.cast(ignore, c_void_p))
    try:
        yield x, handle
    finally:
        x.XCloseDisplay(handle)
        x.XSetErrorHandler(before)


def _windows(x: Any, handle: int, parent: int) -> Generator[int, None, None]:
    """All below a window: a window manager puts a frame around each."""
    root, above, count, children = c_ulong(), c_ulong(), c_uint(), POINTER(c_ulong)()
    if (
        not x.XQueryTree(handle, parent, byref(root), byref(above), byref(children), byref(count))
        or not children
    ):
        return
    found = [children[i] for i in range(count.value)]
    x.XFree(children)
    for window in found:
        yield window
        yield from _windows(x, handle, window)


def _name(x: Any, handle: int, window: int) -> str:
    text = c_void_p()
    if not x.XFetchName(handle, window, byref(text)) or not text.value:
        return ""
    name = ctypes.string_at(text.value).decode("utf-8", "replace")
    x.XFree(text)
    return name


def _is_black(x: Any, handle: int, window: int) -> bool:
    root, left, top, border, depth = c_ulong(), c_int(), c_int(), c_uint(), c_uint()
    width, height = c_uint(), c_uint()
    if not x.XGetGeometry(
        handle,
        window,
        byref(root),
        byref(left),
        byref(top),
        byref(width),
        byref(height),
        byref(border),
        byref(depth),
    ):
        return False
    image = x.XGetImage(handle, window, 0, 0, width, height, _ALL_PLANES, _ZPIXMAP)
    if not image:  # it is not on the screen, or not wholly
        return False
    content = image.contents
    data = ctypes.string_at(content.data, content.bytes_per_line * content.height)
    step = content.bits_per_pixel // 8
    # The fourth byte is no colour
    colours = [data[channel::step] for channel in range(3)] if step == 4 else [data]
    x.XDestroyImage(image)
    return not any(any(channel) for channel in colours)
