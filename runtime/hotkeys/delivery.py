"""From a key to the session, without ever stopping the thread that listens."""

from __future__ import annotations

import logging
from collections.abc import Callable

from perse_live.errors import UserError
from runtime.live.actions import Action

Act = Callable[[Action], None]
"""As `Control.act`: returns at once, raises UserError for what cannot be done."""
Report = Callable[[str], None]
"""Called with one line on what a key could not do; called on the thread that listens."""

_log = logging.getLogger(__name__)


def deliver(key: str, action: Action, act: Act, report: Report) -> None:
    """Do a key's action; whatever goes wrong is reported, nothing is raised."""
    try:
        act(action)
    except UserError as error:
        report(f"key {key}: {error}")
    except Exception as error:  # a listener that dies takes the panic key with it
        _log.exception("key %s failed", key)
        report(f"key {key} failed: {type(error).__name__}: {error}")
