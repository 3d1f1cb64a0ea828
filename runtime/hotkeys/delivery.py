"""Performs the action of a key without exceptions in the listening thread."""

from __future__ import annotations

import logging
from collections.abc import Callable

from perse_live.errors import UserError
from runtime.live.actions import Action

Act = Callable[[Action], None]
"""As `Control.act`: returns at once, raises UserError for what cannot be done."""
Report = Callable[[str], None]
"""Called with one line on why a key's action failed; called on the thread that listens."""

_log = logging.getLogger(__name__)


def deliver(key: str, action: Action, act: Act, report: Report) -> None:
    """Perform a key's action; errors are reported, not raised."""
    try:
        act(action)
    except UserError as error:
        report(f"key {key}: {error}")
    except Exception as error:  # an exception would end the listener, and with it the panic key
        _log.exception("key %s failed", key)
        report(f"key {key} failed: {type(error).__name__}: {error}")
