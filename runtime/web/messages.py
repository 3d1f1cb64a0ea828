"""Actions that arrive as JSON text, by HTTP or over a data channel."""

from __future__ import annotations

from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError
from runtime.live.actions import parse_action
from runtime.live.control import Control

MAX_JSON_BYTES = 16 * 1024


def perform(control: Control, text: str) -> None:
    """Parse and perform an action.

    Raises UserError, and changes nothing, for text that is no action or an action that cannot be done.
    """
    try:
        message = parse_json_object(text, max_bytes=MAX_JSON_BYTES)
    except CheckedError as error:
        raise UserError(
            f'the message is {error}: send an object such as {{"action": "hide"}}'
        ) from None
    control.act(parse_action(message))
