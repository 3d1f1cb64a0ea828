"""Long-polling requests whose waiting ends when the client disconnects or the server shuts down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

_LOOK_SECONDS = 0.2
_LEAVING = web.AppKey("leaving", asyncio.Event)


def prepare_waiting(app: web.Application) -> None:
    """Let `wait_while` know when the application shuts down; before it starts."""
    app[_LEAVING] = asyncio.Event()
    app.on_shutdown.append(_leave)


async def wait_while(
    request: web.Request, seconds: float, condition: Callable[[], bool] = lambda: True
) -> None:
    """Wait until a condition is false, the time is up, or the client has disconnected.

    aiohttp leaves the handler of a connection that is lost alone: without this, a page that was closed shortly before the session
    would hold up its end.
    """
    deadline = time.monotonic() + seconds
    while condition() and not request.app[_LEAVING].is_set():
        left = deadline - time.monotonic()
        if left <= 0 or request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(min(left, _LOOK_SECONDS))


async def _leave(app: web.Application) -> None:
    app[_LEAVING].set()
