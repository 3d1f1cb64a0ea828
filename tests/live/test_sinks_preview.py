from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from live_frames import drawn, two_up
from PIL import Image

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from runtime.sinks.preview import PreviewSink
from runtime.sinks.x11 import wake_black_windows

_PATIENCE = 30.0  # seconds
_TITLE = "perse-live test"


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A screen of 800x600 that nobody sees."""
    if sys.platform != "linux":
        pytest.skip("X11 screens are Linux's")
    for program in ("Xvfb", "xdotool", "ffmpeg"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    number, told = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(told), "-screen", "0", "800x600x24", "-noreset"],
        pass_fds=[told],
        stderr=subprocess.DEVNULL,
    )
    os.close(told)
    with os.fdopen(number) as answer:
        name = ":" + answer.readline().strip()
    monkeypatch.setenv("DISPLAY", name)
    yield name
    server.terminate()
    server.wait()


def screenshot(display: str, folder: Path) -> UInt8Array:
    """(600, 800, 3) RGB."""
    path = folder / "screen.png"
    subprocess.run(
        [
            "ffmpeg",
            "-loglevel",
            "error",
            "-y",
            "-f",
            "x11grab",
            "-video_size",
            "800x600",
            "-draw_mouse",
            "0",
            "-i",
            display,
            "-frames:v",
            "1",
            str(path),
        ],
        check=True,
    )
    return np.asarray(Image.open(path).convert("RGB"))


def window_of(display: str) -> str:
    found = subprocess.run(
        ["xdotool", "search", "--name", _TITLE], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def press_close_button(display: str) -> None:
    """Tell the window, if it is still there, what a window manager's close button tells it (ICCCM, 4.2.8.1)."""
    xlib = pytest.importorskip("Xlib.display", reason="python-xlib is not installed")
    from Xlib.protocol.event import ClientMessage

    server = xlib.Display(display)
    windows = window_of(display).splitlines()
    if not windows:
        server.close()
        return
    window = server.create_resource_object("window", int(windows[0]))
    words = [server.get_atom("WM_DELETE_WINDOW"), 0, 0, 0, 0]
    window.send_event(
        ClientMessage(window=window, client_type=server.get_atom("WM_PROTOCOLS"), data=(32, words))
    )
    server.flush()
    server.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def flag(width: int = 320, height: int = 240) -> UInt8Array:
    """Red above, blue on the left, a green corner."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2] = 255, 0, 0
    image[:, : width // 4] = 0, 0, 255
    image[-40:, -40:] = 0, 255, 0
    return image


def show(sink: PreviewSink, image: UInt8Array, *, matte: bool = False) -> None:
    """Write a frame until the window has surely painted it."""
    shown = sink.shown

    def is_shown() -> bool:
        sink.write(drawn(image, matte=matte))
        return sink.shown > shown + 3

    until(is_shown)


def open_painted(display: str, folder: Path) -> PreviewSink:
    """A window that is to be seen, as each is after a moment."""
    sink = PreviewSink(_TITLE)

    def is_painted() -> bool:
        show(sink, flag())
        return bool(screenshot(display, folder).any())

    until(is_painted)
    return sink


def write_for(sink: PreviewSink, seconds: float = _PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sink.write(drawn(flag()))
        time.sleep(0.05)


@pytest.mark.slow
def test_the_window_shows_the_frame_in_its_colours(display: str, tmp_path: Path) -> None:
    sink = open_painted(display, tmp_path)
    try:
        until(lambda: bool((screenshot(display, tmp_path)[:240, :320] == flag()).all()))
        show(sink, two_up(255 - flag(), 99), matte=True)
        until(lambda: bool((screenshot(display, tmp_path)[:240, :320] == 255 - flag()).all()))
        assert window_of(display)
    finally:
        sink.close()
    assert not window_of(display)
    sink.write(drawn(flag()))
    sink.close()


def test_black_windows_are_woken_and_no_others(display: str, tmp_path: Path) -> None:
    xlib = pytest.importorskip("Xlib.display", reason="python-xlib is not installed")
    server = xlib.Display(display)
    screen = server.screen()
    looks = (
        ("ours", screen.black_pixel),
        ("ours", screen.white_pixel),
        ("another's", screen.black_pixel),
    )
    for place, (title, color) in enumerate(looks):
        window = screen.root.create_window(
            100 * place, 0, 60, 40, 0, screen.root_depth, background_pixel=color
        )
        window.set_wm_name(title)
        window.map()
        server.sync()
        until(lambda window=window: window.get_attributes().map_state == 2)
    assert wake_black_windows("none") == 0
    assert wake_black_windows("ours") == 1
    until(
        lambda: all(
            window.get_attributes().map_state == 2 for window in screen.root.query_tree().children
        )
    )
    server.close()


def test_without_a_screen_there_is_nothing_to_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":77")
    assert wake_black_windows("ours") == 0


@pytest.mark.usefixtures("display")
def test_a_second_window_opens_after_the_first() -> None:
    PreviewSink(_TITLE).close()
    sink = PreviewSink(_TITLE)
    show(sink, flag())
    sink.close()
    assert not sink.closed_by_user


def test_a_window_closed_by_the_user_is_said(display: str, tmp_path: Path) -> None:
    # Nobody closes what is not to be seen yet, and Qt does not hear of it before
    sink = open_painted(display, tmp_path)
    with pytest.raises(UserError, match="the preview window was closed"):
        for _ in range(10):  # on a busy machine Qt may miss one
            press_close_button(display)
            write_for(sink, _PATIENCE / 10)
    assert sink.closed_by_user
    sink.close()


def test_a_screen_that_goes_away_is_survived(display: str, tmp_path: Path) -> None:
    sink = open_painted(display, tmp_path)
    # Cuts the window's line to the server
    subprocess.run(["xdotool", "search", "--name", _TITLE, "windowkill"], check=True)
    with pytest.raises(UserError, match="the preview window is gone"):
        write_for(sink)
    assert not sink.closed_by_user
    sink.close()


@pytest.mark.skipif(sys.platform != "linux", reason="X11 screens are Linux's")
def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(
        UserError, match=r"\(no display.*\): look at the page in the browser instead"
    ):
        PreviewSink(_TITLE)


@pytest.mark.skipif(sys.platform != "linux", reason="X11 screens are Linux's")
def test_a_display_that_does_not_answer_does_not_end_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":9797")
    with pytest.raises(UserError, match="could not connect to display :9797"):
        PreviewSink(_TITLE)
