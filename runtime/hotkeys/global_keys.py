"""System-wide hotkeys, through pynput."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from perse_live.errors import UserError
from runtime.hotkeys.delivery import Act, Report, deliver
from runtime.live.actions import Action

FALLBACK = "use the keys in the page or in the terminal, or bind a key of your desktop to a call of POST /api/action"
"""Alternatives where there are no global keys."""

_PATIENCE = 5.0  # seconds for the listener to start or to end


class GlobalKeys:
    """Listens on pynput's thread until closed."""

    def __init__(self, bindings: Mapping[str, Action], act: Act, report: Report) -> None:
        """Start to listen.

        bindings: combinations in pynput's spelling, as `KeyMap.global_actions` has them; act: called with the action of each
        combination when its last key goes down, once until it is released; report: called where an action fails. Both
        are called on the listener's thread and must return soon. Raises UserError, with what to use instead, where there can be
        no global keys.
        """
        if obstacle := obstacle_to_global_keys():
            raise UserError(f"no global hotkeys: {obstacle}; {FALLBACK}")
        keyboard = importlib.import_module("pynput.keyboard")
        callbacks = {key: _callback(key, action, act, report) for key, action in bindings.items()}
        self._listener: Any = keyboard.GlobalHotKeys(callbacks)
        self._listener.start()
        if not _returns_soon(self._listener.wait):  # before that it cannot be stopped either
            raise UserError(f"no global hotkeys: the display does not answer; {FALLBACK}")
        if sys.platform == "darwin" and self._ended(0.3):  # pynput only logs that it may not listen
            raise UserError(
                "no global hotkeys: macOS does not let this program hear keys: allow your terminal under System"
                f" Settings, Privacy & Security, Accessibility and Input Monitoring, or {FALLBACK}"
            )

    def close(self) -> None:
        """Stop listening; closing again does nothing."""
        self._listener.stop()
        _end_recording(self._listener)
        if threading.current_thread() is not self._listener:
            self._ended(_PATIENCE)

    def _ended(self, timeout: float) -> bool:
        # pynput's join would raise the listener's exception here
        threading.Thread.join(self._listener, timeout)
        return not self._listener.is_alive()


def _end_recording(listener: Any) -> None:
    """Let pynput's thread end under X.

    pynput (1.8) asks the server to end the recording over the very connection that records, which the server does not read
    meanwhile; the thread then waits for the next key anybody presses.
    """
    connection, context = (
        getattr(listener, "_display_stop", None),
        getattr(listener, "_context", None),
    )
    if connection is not None and context is not None and listener.is_alive():
        with contextlib.suppress(Exception):  # it has just ended, and its connection is closed
            connection.record_disable_context(context)
            connection.flush()


def obstacle_to_global_keys() -> str | None:
    """Why no key can be heard in other windows on this system, in half a line; None where nothing is known to be in the way."""
    if find_spec("pynput") is None:
        return "the package pynput is not installed (pip install pynput)"
    if sys.platform.startswith("linux"):
        if os.environ.get("WAYLAND_DISPLAY") or os.environ.get("XDG_SESSION_TYPE") == "wayland":
            return "this is a Wayland session, where programs do not hear keys of other windows"
        if not os.environ.get("DISPLAY"):
            return "there is no display (DISPLAY is not set)"
    try:
        importlib.import_module("pynput.keyboard")
    except ImportError as error:  # pynput connects to the display as it is imported
        return f"pynput cannot reach the display ({' '.join(str(error).split())[:120]})"
    return None


def _callback(key: str, action: Action, act: Act, report: Report) -> Callable[[], None]:
    return lambda: deliver(key, action, act, report)


def _returns_soon(function: Callable[[], None]) -> bool:
    thread = threading.Thread(target=function, name="wait for global keys", daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return not thread.is_alive()
