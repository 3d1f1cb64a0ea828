"""Helpers for event loops with WebRTC connections: logging of peers' errors, and orderly shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger(__name__)

_LEAVE = 5.0  # seconds that what still closes is given at the end


def log_loop_error(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Log errors of aiortc's background tasks (vanished or misbehaving peers) in one line, without traceback."""
    _log.debug("in the background: %s", context.get("message"), exc_info=context.get("exception"))
    _log.info("a connection failed: %s: %r", context.get("message"), context.get("exception"))


async def settle() -> None:
    """Wait for connections that are being closed."""
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    if pending:
        _, late = await asyncio.wait(pending, timeout=_LEAVE)
        for task in late:
            _log.debug("a background task does not end by itself: %s", task)
            task.cancel()
    await asyncio.sleep(0)
