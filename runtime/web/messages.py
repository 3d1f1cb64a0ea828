"""Actions that arrive as JSON text, by HTTP or over a data channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from perse_live.errors import UserError
from runtime.live.actions import parse_action
from runtime.live.control import Control

MAX_JSON_BYTES = 16 * 1024


def perform(control: Control, text: str) -> None:
    """Do what an action says.

    Raises UserError, and changes nothing, for text that is no action or an action that cannot be done.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_JSON_BYTES:
        raise UserError(f"the message is larger than {MAX_JSON_BYTES} bytes")
    try:
        message: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError('the message is not JSON: send an object such as {"action": "hide"}') from None
    if not isinstance(message, dict):
        raise UserError('the message is not a JSON object: send one such as {"action": "hide"}')
    control.act(parse_action(cast("Mapping[str, object]", message)))
