"""Over a real pseudo-terminal: a child process whose controlling terminal it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from runtime.hotkeys.terminal_keys import TerminalKeys
from runtime.live.actions import Hide

if sys.platform == "win32":
    pytest.skip("a Windows console cannot be made up", allow_module_level=True)

import pty
import termios

CHILD = """
import os, signal, sys, threading, time
from perse_live.errors import UserError
from runtime.hotkeys import terminal_keys
from runtime.hotkeys.keymap import KeyMap
from runtime.hotkeys.terminal_keys import TerminalKeys
from runtime.live.actions import Record, Mirror

terminal_keys._SEQUENCE_SECONDS = 0.5  # a busy machine may pause for as long as a person does between two keys

log = open(sys.argv[1], "a", buffering=1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that a shell runs in the background are started with it ignored

def act(action):
    if isinstance(action, Record):
        raise UserError("nowhere to record to")
    if isinstance(action, Mirror):
        raise ValueError("a mistake")
    log.write(f"{action}\\n")

keys = TerminalKeys(KeyMap().terminal_actions(), act, lambda line: log.write(f"report {line}\\n"))
log.write(f"listening {keys.listening}\\n")
try:
    while True:
        time.sleep(0.02)
        if os.path.exists(sys.argv[1] + ".stop"):
            raise RuntimeError("stop")
except KeyboardInterrupt:
    log.write("interrupted\\n")
finally:
    if "close" in sys.argv:
        keys.close()
        keys.close()
        log.write(f"closed, listening {keys.listening}, threads {threading.active_count()}\\n")
"""


class Child:
    """A program at a terminal; the test is the person before it."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        log.touch()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", CHILD, str(log), *arguments])
        self.modes = self.terminal_modes()

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def terminal_modes(self) -> int:
        modes = termios.tcgetattr(self._terminal)[3]
        assert isinstance(modes, int)
        return modes & (termios.ICANON | termios.ECHO | termios.ISIG)

    def lines(self) -> list[str]:
        return self._log.read_text().splitlines()

    def wait_for(self, line: str, *, count: int = 1) -> None:
        deadline = time.monotonic() + 20
        while self.lines().count(line) < count:
            assert time.monotonic() < deadline, self.lines()
            time.sleep(0.02)

    def wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return status

    def shell(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def child(log: Path) -> Generator[Child, None, None]:
    one = Child(log, "close")
    one.wait_for("listening True")
    yield one
    one.shell()


def test_keys_act_without_enter_and_ctrl_c_interrupts(child: Child) -> None:
    child.type("1hN")
    child.wait_for("Hide(on=None)")
    child.wait_for("StepAttribute(step=1)")
    assert child.lines()[1:] == [
        "SetAttribute(name='1', weight=None)",
        "Hide(on=None)",
        "StepAttribute(step=1)",
    ]
    assert child.terminal_modes() == termios.ISIG
    child.type("\x03")
    child.wait_for("interrupted")
    child.wait_for("closed, listening False, threads 1")
    assert child.terminal_modes() == child.modes


@pytest.mark.slow
def test_digits_inside_of_escape_sequences_do_not_act(child: Child) -> None:
    child.type("\x1b[19~\x1b[1;5C\x1bOP\x1b1\x1b[15;3~")  # F8, ctrl+right, F1, alt+1, alt+F5
    child.type("\x1b[1")  # in two parts
    child.type("9~h")
    child.wait_for("Hide(on=None)")
    child.type("\x1b")  # alone
    time.sleep(1.5)
    child.type("h")
    child.wait_for("Hide(on=None)", count=2)
    assert child.lines()[1:] == ["Hide(on=None)"] * 2


def test_what_an_action_cannot_do_is_reported_and_the_next_key_works(child: Child) -> None:
    child.type("r")
    child.wait_for("report key r: nowhere to record to")
    child.type("m")
    child.wait_for("report key m failed: ValueError: a mistake")
    child.type("0")
    child.wait_for("ClearAttributes()")


def test_the_terminal_is_restored_after_an_exception_that_forgets_to_close(log: Path) -> None:
    child = Child(log)
    try:
        child.wait_for("listening True")
        child.type("h")
        child.wait_for("Hide(on=None)")
        log.with_name("log.stop").touch()
        status = child.wait()
        assert os.waitstatus_to_exitcode(status) == 1
        assert child.terminal_modes() == child.modes
    finally:
        child.shell()


def test_in_the_background_it_neither_stops_the_program_nor_takes_keys(
    log: Path, tmp_path: Path
) -> None:
    """As `perse-live live ME.perse &` in a shell: a job in the background that reads the terminal is stopped by SIGTTIN."""
    script = tmp_path / "job.py"
    script.write_text(CHILD)
    log.touch()
    pid, terminal = pty.fork()
    if pid == 0:  # the shell
        job = (
            subprocess.Popen([sys.executable, str(script), str(log), "close"], process_group=0)
            if sys.version_info >= (3, 11)
            else subprocess.Popen(
                [sys.executable, str(script), str(log), "close"], preexec_fn=os.setpgrp
            )
        )
        _, status = os.waitpid(job.pid, os.WUNTRACED)
        os._exit(9 if os.WIFSTOPPED(status) else 0)
    try:
        deadline = time.monotonic() + 20
        while "listening True" not in log.read_text(encoding="utf-8"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.write(terminal, b"h")
        time.sleep(0.8)
        log.with_name("log.stop").touch()
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert "Hide" not in log.read_text(encoding="utf-8")
        assert "closed, listening False" in log.read_text(encoding="utf-8")
    finally:
        os.close(terminal)


def test_standard_input_that_is_no_terminal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text("hhh")
    with path.open() as stdin:
        keys = TerminalKeys({"h": Hide()}, _never, _never, stdin=stdin)
        assert not keys.listening
        keys.close()
        assert stdin.read() == "hhh"


def test_a_terminal_whose_window_is_closed_ends_the_thread() -> None:
    master, slave = pty.openpty()
    acted: list[object] = []
    with os.fdopen(slave) as stdin:
        keys = TerminalKeys({"h": Hide()}, acted.append, acted.append, stdin=stdin)
        os.write(master, b"h")
        _wait_until(lambda: len(acted) == 1)
        os.close(master)
        _wait_until(lambda: not keys.listening)
        keys.close()
    assert acted == [Hide()]


def _never(_: object) -> None:
    raise AssertionError("nothing was typed")


def _wait_until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
