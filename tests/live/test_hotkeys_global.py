"""With a real X server and real key events; each listener in a separate program, as pynput ties itself to one display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from importlib.util import find_spec

import pytest

from perse_live.errors import UserError
from runtime.hotkeys.global_keys import GlobalKeys
from runtime.live.actions import Hide

CHILD = """
import logging, sys, threading, time
from perse_live.errors import UserError
from runtime.hotkeys.global_keys import GlobalKeys
from runtime.hotkeys.keymap import KeyMap
from runtime.live.actions import Record, StepAttribute

def act(action):
    if isinstance(action, Record):
        raise UserError("nowhere to record to")
    if isinstance(action, StepAttribute):
        raise ValueError("a mistake")
    print(action, flush=True)

logging.getLogger("runtime").addHandler(logging.NullHandler())
try:
    keys = GlobalKeys(KeyMap().global_actions(), act, lambda line: print("report", line, flush=True))
except UserError as error:
    print("refused", error, flush=True)
    sys.exit(2)
print("listening", flush=True)
sys.stdin.readline()
keys.close()
keys.close()
print("closed, threads", threading.active_count(), flush=True)
"""

needs_pynput = pytest.mark.skipif(find_spec("pynput") is None, reason="pynput is not installed")
needs_display = pytest.mark.skipif(
    not (sys.platform == "linux" and shutil.which("Xvfb") and shutil.which("xdotool")),
    reason="Xvfb or xdotool is not installed",
)


@pytest.fixture(scope="module")
def display() -> Generator[str, None, None]:
    """A real X server without a screen."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(writing)
        try:
            with os.fdopen(reading) as file:
                yield f":{int(file.readline())}"
        finally:
            server.terminate()


class Child:
    """A program that prints what global keys do."""

    def __init__(self, environment: dict[str, str]) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE")
        }
        self._environment = {**clean, **environment}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def press(self, *keys: str) -> None:
        subprocess.run(["xdotool", "key", *keys], env=self._environment, check=True, timeout=20)

    def finish(self) -> tuple[str, int]:
        out, _ = self._process.communicate("\n", timeout=20)
        return out, self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def child(display: str) -> Generator[Child, None, None]:
    one = Child({"DISPLAY": display})
    yield one
    one.kill()


@needs_pynput
@needs_display
def test_ctrl_alt_digits_letters_and_f_keys_act_in_any_window(child: Child) -> None:
    assert child.line() == "listening"
    child.press("ctrl+alt+1", "ctrl+alt+h", "F9", "ctrl+alt+0")
    assert [child.line() for _ in range(4)] == [
        "SetAttribute(name='1', weight=None)",
        "Hide(on=None)",
        "Hide(on=None)",
        "ClearAttributes()",
    ]
    child.press("1", "h", "alt+1", "F7", "ctrl+alt+c")  # plain keys are somebody else's typing
    assert child.line() == "Recalibrate(seconds=3.0)"
    assert child.finish() == ("closed, threads 1\n", 0)


@needs_pynput
@needs_display
def test_what_an_action_cannot_do_is_reported_and_the_listener_lives(child: Child) -> None:
    assert child.line() == "listening"
    child.press("F8")
    assert child.line() == "report key <f8>: nowhere to record to"
    child.press("ctrl+alt+n")
    assert child.line() == "report key <ctrl>+<alt>+n failed: ValueError: a mistake"
    child.press("F9")
    assert child.line() == "Hide(on=None)"


@needs_pynput
@needs_display
def test_it_can_be_closed_at_once(child: Child) -> None:
    assert child.finish() == ("listening\nclosed, threads 1\n", 0)


@needs_pynput
@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize(
    ("environment", "cause"),
    [
        ({}, "there is no display"),
        ({"DISPLAY": ":9997"}, "cannot reach the display"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "Wayland"),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "wayland"}, "Wayland"),
    ],
)
def test_where_there_can_be_none_it_says_so_in_one_line_with_what_to_use(
    environment: dict[str, str], cause: str
) -> None:
    out, code = Child(environment).finish()
    assert code == 2
    assert out.startswith("refused no global hotkeys: ")
    assert len(out.splitlines()) == 1
    for part in (cause, "keys in the page", "POST /api/action"):
        assert part in out


def test_without_pynput_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynput", None)  # Python's own way to say that there is none
    with pytest.raises(UserError, match=r"pynput is not installed.*POST /api/action"):
        GlobalKeys({"<f9>": Hide()}, _never, _never)


def _never(_: object) -> None:
    raise AssertionError("nothing was pressed")
